# Builds ssl.so, one folder a Lua under build/, and runs everything that checks it. GNU make.
#
#   make [LUA_VERSION=5.1|5.2|5.3|5.4|5.5|luajit]   build/$(LUA_VERSION)/ssl.so
#   make all-luas                               for each of the five
#   make install [PREFIX= DESTDIR= LUAPATH= LUACPATH= BINDIR= PKGCONFIGDIR=]
#   make demo, make test                        complete on a bare Debian: they install what is missing
#   make samples                                the programs of samples/, run by test/samples/*_spec.lua
#   make errors-doc                             doc/errors.md
#   make reference                              doc/reference and types, from the sources' comments
#   make pictures                               doc/performance.svg and README's figures, from doc/performance.md
#   make doc                                    all that is written as a site, in build/site
#   make fuzz SECONDS=60 [TARGET=name]          each of test/fuzz/*.lua, under the sanitizers; fuzz-table: the runs so far
#   make fuzz-input TARGET=name INPUT=file      one input once more, such as a finding
#   make faults, faults-small                   every call that can fail fails once; a sample of them
#   make soak N=1000000, soak-small             handshakes with random faults
#   make load CONNECTIONS=10000, load-small     at once; stalled, slow and flooding peers beside a healthy one
#   make coverage                               which lines and branches the suite reaches
#   make lint, asan, valgrind                   the checkers; the suite under the sanitizers, most of it under valgrind
#   make gc, tsan                               with a collector that never rests; threads under ThreadSanitizer
#   make helgrind, drd                          the same threads under valgrind's tools
#   make compat                                 the behaviour specs on this library and on the installed LuaSec
#   make history, judged                        bugs of other bindings, tried here; what scanners say of a server
#   make interop, real                          other TLS libraries at the other end; Debian's programs on this library
#   make bench, bench-ir, bench-syscalls        seconds, instructions, system calls; bench-check, bench-smoke, bench-ir-small
#   make test-all                               make test for each Lua
#   make rock, deb                              the rock in a tree under build, Debian's package
#   make certs, uninstall, clean, help          the tests' certificates in build/certs; this text
#
# pkg-config is asked first. Whatever it answers can be given instead: LUA_CFLAGS, OPENSSL_CFLAGS,
# OPENSSL_LIBS; and CC, CFLAGS, LDFLAGS, LUA (the interpreter), BUSTED as usual. WERROR= builds in
# spite of warnings, V=1 shows the commands. VARIANT=asan, tsan or gcov builds beside the ordinary library,
# in build/asan-5.4 etc.

LUA_VERSION ?= 5.4
LUA_VERSIONS := 5.1 5.2 5.3 5.4 luajit    # those of the loops; 5.5 is not in every system yet
ifeq ($(filter $(LUA_VERSION),$(LUA_VERSIONS) 5.5),)
$(error LUA_VERSION is $(LUA_VERSION), not one of $(LUA_VERSIONS) 5.5)
endif

# --- what the machine has
pound := \#
PKG_CONFIG ?= pkg-config
first_pkg = $(firstword $(foreach p,$(1),$(if $(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null && echo y),$(p))))
first_cmd = $(firstword $(foreach c,$(1),$(if $(shell command -v $(c) 2>/dev/null),$(c))))
ifeq ($(LUA_VERSION),luajit)
LUA_ABI := 5.1
LUA_PKGS := luajit
LUA_CMDS := luajit
LUA_DEV := libluajit-5.1-dev
else
LUA_ABI := $(LUA_VERSION)
LUA_PKGS := lua$(LUA_VERSION) lua-$(LUA_VERSION) lua$(subst .,,$(LUA_VERSION)) lua
LUA_CMDS := lua$(LUA_VERSION) lua-$(LUA_VERSION) lua$(subst .,,$(LUA_VERSION)) lua
LUA_DEV := liblua$(LUA_VERSION:5.1=5.1-0)-dev
endif
LUA ?= $(or $(call first_cmd,$(LUA_CMDS)),$(firstword $(LUA_CMDS)))
LUA_PKG = $(or $(call first_pkg,$(LUA_PKGS)),$(firstword $(LUA_PKGS)))
LUA_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags $(LUA_PKG) 2>/dev/null)
# Of programs that have Lua in them: those of tsan, fuzz and faults.
LUA_LIBS ?= $(shell $(PKG_CONFIG) --libs $(LUA_PKG))
OPENSSL_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags openssl 2>/dev/null)
OPENSSL_LIBS ?= $(or $(shell $(PKG_CONFIG) --libs openssl 2>/dev/null),-lssl -lcrypto)
BUSTED ?= $(or $(shell command -v busted),busted)

# --- how it is compiled
CFLAGS ?= -O2 -g
WERROR ?= -Werror
OWN_CFLAGS := -std=c11 -Wall -Wextra -Wpedantic -Wconversion $(WERROR) -fPIC -fvisibility=hidden \
  -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64 -DOPENSSL_NO_DEPRECATED
ifeq ($(shell uname -s),Darwin)
OWN_CFLAGS += -D_DARWIN_C_SOURCE
SHARED := -bundle -undefined dynamic_lookup
else
# nodelete: OpenSSL may keep pointers into ssl.so (indexes, callbacks) as long as the process lives,
# while Lua unloads its libraries with the state.
SHARED := -shared -Wl,-z,nodelete
endif

VARIANT ?=
VARIANT_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -fno-omit-frame-pointer
VARIANT_gcov := -O0 -g --coverage
VARIANT_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
ifneq ($(VARIANT),)
ifeq ($(VARIANT_$(VARIANT)),)
$(error VARIANT is $(VARIANT), not asan, tsan or gcov)
endif
endif
BUILD := build/$(if $(VARIANT),$(VARIANT)-)$(LUA_VERSION)

SOURCES := $(sort $(wildcard src/*.c))
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/%.o)
compile = $(CC) $(OWN_CFLAGS) $(OPENSSL_CFLAGS) $(LUA_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(VARIANT_$(VARIANT))
link = $(CC) $(SHARED) $(CFLAGS) $(VARIANT_$(VARIANT)) $(LDFLAGS)

quiet := $(if $(V),,@)
say := @$(if $(V),:,echo)

# --- where it is installed
PREFIX ?= /usr/local
DESTDIR ?=
LUAPATH ?= $(PREFIX)/share/lua/$(LUA_ABI)
LUACPATH ?= $(PREFIX)/lib/lua/$(LUA_ABI)
BINDIR ?= $(PREFIX)/bin
COMPLETIONS ?= $(PREFIX)/share/bash-completion/completions
PKGCONFIGDIR ?= $(PREFIX)/lib/pkgconfig
VERSION = $(shell sed -n 's/.*_VERSION = "\([^"]*\)".*/\1/p' lua/ssl.lua)
INSTALL ?= install
LUA_FILES := $(patsubst lua/%,%,$(sort $(wildcard lua/*.lua lua/*/*.lua)))

# --- how tests are run: ours comes first on both paths
CERTS := build/certs
env = LUA_PATH='lua/?.lua;test/?.lua;;' LUA_CPATH='$(BUILD)/?.so;;' CERTS='$(CERTS)' LUA='$(LUA)' \
  LUA_VERSION='$(LUA_VERSION)'
deps = LUA_VERSION='$(LUA_VERSION)' tools/deps.sh
SPECS ?=
# What reaches most of the C for its time: valgrind takes some 25 times as long. Not those that watch the clock or load a
# library with leaks of its own (luaossl). The sanitizers run them all.
VALGRIND_SPECS ?= $(patsubst %,test/%_spec.lua,alert alpn cache callback connection context credentials crl dhparam \
  engine error handshake hint inspect keyupdate mbedtls negotiation ocsp_check options protocol psk psk_fixed \
  readahead readwrite receive selfsigned send sendfile sequence servernames session sessionstore shutdown sni socket \
  ssl stapling store tickets transport trust tunnel verify x509_check x509_names)

.DELETE_ON_ERROR:
.PHONY: all linux bsd macosx all-luas install uninstall certs reference pictures doc demo samples test test-all suite compat \
  real lint asan valgrind rock deb clean help FORCE

all: $(BUILD)/ssl.so
linux bsd macosx: all

# The head of this file.
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

all-luas:
	@for v in $(LUA_VERSIONS); do $(MAKE) --no-print-directory all LUA_VERSION=$$v || exit 1; done

$(BUILD)/ssl.so: $(OBJECTS)
	$(say) "  LD $@"
	$(quiet)$(link) -o $@ $(OBJECTS) $(OPENSSL_LIBS)

$(BUILD)/%.o: src/%.c $(BUILD)/flags
	$(say) "  CC $@"
	$(quiet)$(compile) -MMD -MP -c -o $@ $<

# Changes when the commands do, so that other flags build anew; then what they need is looked for.
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@echo '$(compile) $(link) $(OPENSSL_LIBS)' | cmp -s - $@ || \
	  { $(look_for_tools) && echo '$(compile) $(link) $(OPENSSL_LIBS)' >$@; }

# What a build lacks, in a sentence, behind the compiler's own words, for those may tell more. The headers of another Lua than
# the one that is meant would make a library that crashes.
lacks = { echo 'Cannot build: $(1). On Debian: apt-get install $(2); doc/platforms.md has other systems.' >&2; exit 1; }
compiles = printf '%s\n' $(1) | $(compile) -fsyntax-only -x c -
of_this_lua = '$(pound)include <lua.h>' '$(pound)if LUA_VERSION_NUM != $(subst .,0,$(LUA_ABI))' '$(pound)error another Lua' \
  '$(pound)endif'
look_for_tools = \
  { command -v $(firstword $(CC)) >/dev/null || $(call lacks,there is no C compiler "$(CC)",gcc libc6-dev); } && \
  { $(call compiles,$(of_this_lua)) || $(call lacks,no lua.h of Lua $(LUA_VERSION) was found,pkg-config $(LUA_DEV)); } && \
  { $(call compiles,'$(pound)include <openssl/ssl.h>') || \
    $(call lacks,no openssl/ssl.h was found,pkg-config libssl-dev); }

-include $(OBJECTS:.o=.d)

install: all
	$(INSTALL) -d $(patsubst %,'$(DESTDIR)$(LUAPATH)/%',$(sort $(dir $(LUA_FILES)))) '$(DESTDIR)$(LUACPATH)' \
	  '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(COMPLETIONS)' $(if $(PKGCONFIGDIR),'$(DESTDIR)$(PKGCONFIGDIR)')
	$(foreach f,$(LUA_FILES),$(INSTALL) -m 644 lua/$(f) '$(DESTDIR)$(LUAPATH)/$(f)' &&) true
	$(INSTALL) -m 755 $(BUILD)/ssl.so '$(DESTDIR)$(LUACPATH)/ssl.so'
	rm -f '$(DESTDIR)$(BINDIR)/luasec'
	{ echo '#!/usr/bin/env $(notdir $(LUA))'; \
	  echo 'package.path = "$(LUAPATH)/?.lua;" .. package.path'; \
	  echo 'package.cpath = "$(LUACPATH)/?.so;" .. package.cpath'; \
	  tail -n +2 bin/luasec; } >'$(DESTDIR)$(BINDIR)/luasec'
	chmod 755 '$(DESTDIR)$(BINDIR)/luasec'
	$(INSTALL) -m 644 tools/luasec.bash '$(DESTDIR)$(COMPLETIONS)/luasec'
ifneq ($(PKGCONFIGDIR),)
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LUAPATH@|$(LUAPATH)|; s|@LUACPATH@|$(LUACPATH)|; s|@VERSION@|$(VERSION)|' \
	  -e 's|@LUA_ABI@|$(LUA_ABI)|g' packaging/luasec.pc.in >'$(DESTDIR)$(PKGCONFIGDIR)/lua$(LUA_ABI)-sec.pc'
	chmod 644 '$(DESTDIR)$(PKGCONFIGDIR)/lua$(LUA_ABI)-sec.pc'
endif

uninstall:
	rm -f $(patsubst %,'$(DESTDIR)$(LUAPATH)/%',$(LUA_FILES)) '$(DESTDIR)$(LUACPATH)/ssl.so' \
	  '$(DESTDIR)$(BINDIR)/luasec' '$(DESTDIR)$(COMPLETIONS)/luasec'
	$(if $(PKGCONFIGDIR),rm -f '$(DESTDIR)$(PKGCONFIGDIR)/lua$(LUA_ABI)-sec.pc')

certs:
	@certs/make.sh $(CERTS)

# doc/errors.md, by committing every mistake in it.
errors-doc: all certs
	@$(env) $(LUA) tools/errors.lua >$(BUILD)/errors.md && mv $(BUILD)/errors.md doc/errors.md

# The reference and the editor's types, from the comments of the sources.
reference: all
	@$(env) $(LUA) tools/reference.lua .

# What README.md and a picture show of doc/performance.md's table.
pictures:
	@$(LUA) tools/bars.lua .

# The site, of all that is written in Markdown. It fails when a link leads nowhere.
doc:
	@$(deps) build doc
	@$(env) $(LUA) tools/site.lua build/site

demo:
	@$(deps) build demo
	@$(MAKE) --no-print-directory all
	@$(env) $(LUA) samples/demo/demo.lua

# Each spec starts the programs of one folder. SPECS=test/samples/demo_spec.lua narrows it down.
samples:
	@$(deps) build samples
	@$(MAKE) --no-print-directory all certs
	@$(env) $(LUA) $(BUSTED) $(or $(SPECS),$(wildcard test/samples/*_spec.lua))

# SPECS=test/context_spec.lua narrows it down.
test:
	@$(deps) build test
	@$(MAKE) --no-print-directory suite

suite: all certs
	@$(env) $(LUA) $(BUSTED) $(SPECS)

test-all:
	@status=0; for v in $(LUA_VERSIONS); do \
	  echo "== $$v"; $(MAKE) --no-print-directory test LUA_VERSION=$$v || status=1; done; exit $$status

# The same behaviour specs on this library and on the installed LuaSec.
compat:
	@$(deps) build compat
	@$(MAKE) --no-print-directory all certs
	@status=0; for library in ours luasec; do \
	  $(env) BUSTED='$(BUSTED)' $(LUA) test/compat/run.lua $$library || status=1; done; exit $$status

# The bugs of others, on this library and on the installed LuaSec. HISTORY_ARGS=--write: into doc/reliability.md.
.PHONY: history
history:
	@$(deps) build test
	@$(MAKE) --no-print-directory all certs
	@$(env) $(LUA) test/history/run.lua $(HISTORY_ARGS)

# The README's server as testssl.sh and sslscan see it.
.PHONY: judged
judged:
	@$(deps) build test judged
	@$(MAKE) --no-print-directory all certs
	@$(env) $(LUA) test/judged/run.lua

# Other people's TLS at the other end.
.PHONY: interop
interop:
	@$(deps) build test interop
	@$(MAKE) --no-print-directory all certs
	@$(env) $(LUA) $(BUSTED) test/interop/interop_spec.lua

# Debian's programs run on Lua 5.1 and 5.4.
real:
	@$(deps) real
	@for v in 5.1 5.4; do LUA_VERSION=$$v tools/deps.sh build && \
	  $(MAKE) --no-print-directory all certs LUA_VERSION=$$v || exit 1; done
	@test/real/run.sh

lint:
	@$(deps) build lint
	@COMPILE_FLAGS='$(OWN_CFLAGS) $(OPENSSL_CFLAGS) $(LUA_CFLAGS)' tools/lint.sh

# The whole suite under the sanitizers.
asan:
	@$(deps) build test
	@$(MAKE) --no-print-directory asan-suite VARIANT=asan

.PHONY: asan-suite
asan-suite: all certs
	@$(env) CC='$(CC)' BUSTED='$(BUSTED)' tools/asan.sh $(SPECS)

# The same with the collector at work all the time (test/gchook.lua), in both of its modes; GC_SPECS narrows it down.
GC_SPECS ?= alert alpn cache callback connection context credentials dhparam engine error inspect keylog keypairs life \
  negotiation ocsp psk psk_fixed receive reload send servernames servernames_moved session sessionstore sni staple \
  stapling store tickets transport verify x509 x509_check x509_names
GC_MODES ?= incremental generational
.PHONY: gc
gc:
	@$(deps) build test
	@$(MAKE) --no-print-directory all certs VARIANT=asan
	@status=0; for mode in $(GC_MODES); do echo "== $$mode"; \
	  GC=$$mode HELPER=test/gchook.lua $(MAKE) --no-print-directory asan-suite VARIANT=asan \
	    SPECS='$(GC_SPECS:%=test/%_spec.lua)' || status=1; done; exit $$status

# Lines and branches of src and lines of lua that the whole suite reaches; SPECS narrows it down.
.PHONY: coverage coverage-suite
coverage:
	@$(deps) build test
	@$(MAKE) --no-print-directory coverage-suite VARIANT=gcov LUA_VERSION=5.4

coverage-suite: all certs
	@$(env) CC='$(CC)' BUSTED='$(BUSTED)' BUILD='$(BUILD)' LUA_CFLAGS='$(LUA_CFLAGS)' tools/coverage.sh $(SPECS)

# Without glibc's clean-up at the end, which makes its resolver's memory look lost.
valgrind:
	@$(deps) build test valgrind
	@$(MAKE) --no-print-directory all certs
	@$(env) valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite \
	  --show-leak-kinds=definite --keep-debuginfo=yes --run-libc-freeres=no \
	  --error-exitcode=99 --num-callers=20 $(LUA) $(BUSTED) $(or $(SPECS),$(VALGRIND_SPECS))

# Handshakes with random faults, N of them; memory and descriptors must stay where they are. SEED= repeats a run.
N ?= 1000000
.PHONY: soak soak-small load load-small
soak:
	@$(deps) build test
	@$(MAKE) --no-print-directory all certs
	@$(env) $(LUA) test/load/soak.lua $(N) $(SEED)

soak-small:
	@$(MAKE) --no-print-directory soak N=50000

# CONNECTIONS at once between two processes (ulimit -n must allow them); what stalled, slow and flooding peers do to others.
CONNECTIONS ?= 10000
load:
	@$(deps) build load
	@$(MAKE) --no-print-directory all certs
	@ulimit -S -n $$(ulimit -H -n); export $(env); \
	  $(LUA) test/load/connections.lua $(CONNECTIONS) && $(LUA) test/load/latency.lua

load-small:
	@$(MAKE) --no-print-directory load CONNECTIONS=1500

# Lua states in threads of one process, under ThreadSanitizer. OpenSSL's own code is not instrumented.
THREADS ?= 4
ROUNDS ?= 1000
.PHONY: tsan tsan-run
tsan:
	@$(deps) build test
	@$(MAKE) --no-print-directory tsan-run VARIANT=tsan

tsan-run: all certs $(BUILD)/threads
	@$(env) TSAN_OPTIONS='second_deadlock_stack=1:suppressions=test/threads/tsan.supp' \
	  $(BUILD)/threads test/threads/visit.lua $(THREADS) $(ROUNDS)

$(BUILD)/threads: test/threads/threads.c $(BUILD)/flags
	$(say) "  LD $@"
	$(quiet)$(compile) $(LDFLAGS) -Wl,-E -o $@ $< \
	  $(LUA_LIBS) -lpthread

# The same under valgrind's helgrind and DRD, which see OpenSSL and Lua as well, at some hundred times the time. What is left
# out and why is in test/threads/valgrind.supp.
.PHONY: helgrind drd
helgrind drd:
	@$(deps) build test valgrind
	@$(MAKE) --no-print-directory all certs $(BUILD)/threads-$@
	@$(env) valgrind --tool=$@ --quiet --num-callers=40 --error-exitcode=99 --suppressions=test/threads/valgrind.supp \
	  $(BUILD)/threads-$@ test/threads/visit.lua $(THREADS) $(ROUNDS)

$(BUILD)/threads-%: test/threads/threads.c test/threads/once.c $(BUILD)/flags
	$(say) "  LD $@"
	$(quiet)$(compile) -D_GNU_SOURCE -DCHECKER='<valgrind/$*.h>' $(LDFLAGS) -Wl,-E -o $@ $(filter %.c,$^) \
	  $(LUA_LIBS) -lpthread -ldl

# libFuzzer's program, with Lua 5.4 and the whole library linked in, on each test/fuzz/NAME.lua in turn (with -j2 on two at a
# time) or on TARGET alone, for SECONDS each. Inputs, findings and logs stay in build/fuzz; fuzz-table adds the logs up.
FUZZ := build/fuzz
FUZZ_FLAGS := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=undefined
FUZZ_CC := clang
FUZZ_TARGETS := $(sort $(patsubst test/fuzz/%.lua,%,$(wildcard test/fuzz/*.lua)))
TARGET ?= $(FUZZ_TARGETS)
SECONDS ?= 60
.PHONY: fuzz fuzz-input fuzz-table $(FUZZ_TARGETS:%=fuzz-%)
fuzz:
	@$(deps) build fuzz
	@$(MAKE) --no-print-directory certs
	@$(MAKE) -k --no-print-directory $(TARGET:%=fuzz-%) LUA_VERSION=5.4
	@tools/fuzz.sh $(FUZZ) table

$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: $(FUZZ)/target
	@$(env) tools/fuzz.sh $(FUZZ) run $* $(SECONDS)

fuzz-input: $(FUZZ)/target
	@$(env) FUZZ_TARGET=$(TARGET) $(FUZZ)/target $(INPUT)

fuzz-table:
	@tools/fuzz.sh $(FUZZ) table

fuzz_cc = $(FUZZ_CC) $(OWN_CFLAGS) $(OPENSSL_CFLAGS) $(LUA_CFLAGS) $(CPPFLAGS) $(FUZZ_FLAGS)
$(FUZZ)/%.o: src/%.c $(wildcard src/*.h)
	@mkdir -p $(@D)
	$(say) "  CC $@"
	$(quiet)$(fuzz_cc) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<

$(FUZZ)/target: test/fuzz/target.c test/fuzz/random.c test/fuzz/random.h $(SOURCES:src/%.c=$(FUZZ)/%.o)
	$(say) "  LD $@"
	$(quiet)$(fuzz_cc) -fsanitize=fuzzer,address,undefined -o $@ $(filter-out %.h,$^) \
	  $(LUA_LIBS) $(OPENSSL_LIBS)

# Calls that fail, one after the other: allocations of Lua's, of OpenSSL's and of ours, calls on sockets and files; test/faults. FAULTS
# narrows it down: -k KIND, -o SCENARIO, -e EVERY, -p POINT (driver.c has them all). The small form takes about a minute.
FAULTS ?=
faults_driver = $(BUILD)/faults
faults_cc = $(CC) -std=gnu11 -Wall -Wextra $(WERROR) $(OPENSSL_CFLAGS) $(LUA_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(VARIANT_$(VARIANT))
.PHONY: faults faults-small
$(faults_driver): $(wildcard test/faults/*.[ch]) $(OBJECTS)
	$(say) "  LD $@"
	$(quiet)$(faults_cc) -no-pie -rdynamic -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free -o $@ \
	  $(filter %.c %.o,$^) $(LUA_LIBS) $(LDFLAGS) $(OPENSSL_LIBS)

faults:
	@$(deps) build test
	@$(MAKE) --no-print-directory certs $(faults_driver)
	@$(env) $(faults_driver) -x test/faults/openssl.txt $(FAULTS)

faults-small:
	@$(deps) build test
	@$(MAKE) --no-print-directory certs $(faults_driver)
	@$(env) $(faults_driver) -x test/faults/openssl.txt -k lua -k own -k socket -e 29
	@$(env) $(faults_driver) -x test/faults/openssl.txt -k file -e 2
	@$(env) $(faults_driver) -x test/faults/openssl.txt -k openssl -e 701
	@$(env) $(faults_driver) -x test/faults/openssl.txt -k openssl -m once -o wrongname-tlsv1_3
	@$(env) $(faults_driver) -x test/faults/openssl.txt -k openssl -o cookie

# Debian's package, in build/deb; DEB_ROOT=directory tries it in a system of its own.
deb:
	@$(deps) deb
	@tools/deb.sh
	@$(if $(DEB_ROOT),tools/deb_root.sh $(DEB_ROOT))

# What luarocks makes of the rockspec, in a tree under build/.
rock:
	@$(deps) build rock
	@tools/rock.sh $(LUA_ABI)

clean:
	rm -rf build

# --- bench: against plain C and the installed LuaSec (bench/*.lua say what BENCH_ARGS may be)
BENCH := build/bench
BENCH_ARGS ?=
bench_cc = $(CC) $(OWN_CFLAGS) $(OPENSSL_CFLAGS) $(CPPFLAGS) $(CFLAGS)
bench_env = LUA='$(LUA)' LUA_VERSION='$(LUA_VERSION)' BUILD='$(BUILD)' BENCH='$(BENCH)' CERTS='$(CERTS)'
.PHONY: bench bench-check bench-smoke bench-ir bench-ir-small bench-syscalls bench-built

$(BENCH)/peer: bench/peer.c bench/raw.c bench/tls.c bench/peer.h
	@mkdir -p $(@D)
	$(say) "  CC $@"
	$(quiet)$(bench_cc) -o $@ $(filter %.c,$^) $(LDFLAGS) $(OPENSSL_LIBS)

$(BENCH)/$(LUA_VERSION)/bare.so: bench/bare.c bench/tls.c bench/peer.h
	@mkdir -p $(@D)
	$(say) "  CC $@"
	$(quiet)$(bench_cc) $(LUA_CFLAGS) $(SHARED) -o $@ $(filter %.c,$^) $(LDFLAGS) $(OPENSSL_LIBS)

$(BENCH)/$(LUA_VERSION)/floor.so: bench/floor.c
	@mkdir -p $(@D)
	$(say) "  CC $@"
	$(quiet)$(bench_cc) $(LUA_CFLAGS) $(SHARED) -o $@ $< $(LDFLAGS)

bench-built: all certs $(BENCH)/peer $(BENCH)/$(LUA_VERSION)/floor.so $(BENCH)/$(LUA_VERSION)/bare.so
	@bench/ca.sh $(CERTS) $(BENCH)/ca

bench bench-check bench-smoke:
	@$(deps) build bench
	@$(MAKE) --no-print-directory bench-built
	@$(bench_env) $(LUA) bench/run.lua $(patsubst bench-%,--%,$(filter bench-%,$@)) $(BENCH_ARGS)

# Instructions, by callgrind: the same on a busy machine. The small form takes less than a minute.
bench-ir bench-ir-small:
	@$(deps) build bench valgrind
	@$(MAKE) --no-print-directory bench-built
	@$(bench_env) $(LUA) bench/ir.lua $(patsubst bench-ir-%,%,$(filter bench-ir-%,$@)) $(BENCH_ARGS)

bench-syscalls:
	@$(deps) build bench
	@$(MAKE) --no-print-directory bench-built
	@$(bench_env) $(LUA) bench/syscalls.lua $(BENCH_ARGS)
# --- end of bench
