-- What `make install` puts where, the pkg-config file, and the rockspecs.

local S = require "support"
local ssl = require "ssl"

local version = os.getenv("LUA_VERSION") or "5.4"
local abi = version == "luajit" and "5.1" or version

local function shell(command)
  local p = assert(io.popen(command .. " 2>&1; echo status $?"))
  local text = p:read("*a")
  p:close()
  local output, status = text:match("^(.-)status (%d+)\n$")
  return output, tonumber(status)
end

local function files(dir)
  local list = {}
  for name in shell("cd " .. dir .. " && find . ! -type d | LC_ALL=C sort"):gmatch("%./([^\n]+)") do
    list[#list + 1] = name
  end
  return list
end

-- Not in the midst of a `make` with settings of its own; what is built already is not built anew, other specs use it.
local function make(target, dir, more)
  local built = ("build/%s/ssl.so"):format(version)
  local output, status = shell(("env -u MAKEFLAGS -u MFLAGS make %s LUA_VERSION=%s DESTDIR=%s %s %s")
    :format(target, version, dir, io.open(built) and "--old-file=" .. built or "", more or ""))
  assert.equal(0, status, output)
end

describe("make install", function()
  local dir
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
  end)
  after_each(function() shell("rm -rf " .. dir) end)

  it("installs every module and ssl.so, which load from there, and uninstalls them", function()
    make("install", dir, "PREFIX=/usr")
    local want = { ("usr/lib/lua/%s/ssl.so"):format(abi), ("usr/lib/pkgconfig/lua%s-sec.pc"):format(abi),
      "usr/bin/luasec", "usr/share/bash-completion/completions/luasec" }
    for _, name in ipairs(files "lua") do want[#want + 1] = ("usr/share/lua/%s/%s"):format(abi, name) end
    table.sort(want)
    local got = files(dir)
    table.sort(got)
    assert.same(want, got)
    local code = "local https = require [[ssl.https]] assert(require [[libtls]].client and require [[mbedtls]].ssl) " ..
      "print(require [[ssl]]._VERSION, debug.getinfo(https.request, [[S]]).source)"
    local paths = ("LUA_PATH='%s/usr/share/lua/%s/?.lua;;' LUA_CPATH='%s/usr/lib/lua/%s/?.so;;'")
      :format(dir, abi, dir, abi)
    local output, status = shell(("%s %s -e '%s'"):format(paths, S.interpreter(), code))
    assert.equal(0, status, output)
    assert.equal(("%s\t@%s/usr/share/lua/%s/ssl/https.lua\n"):format(ssl._VERSION, dir, abi), output)
    make("uninstall", dir, "PREFIX=/usr")
    assert.same({}, files(dir))
  end)

  it("tells pkg-config what it installed, unless it is not to", function()
    make("install", dir, "PREFIX=/opt/x LUACPATH=/opt/y")
    local name = ("lua%s-sec"):format(abi)
    local function ask(question)
      local output = shell(("PKG_CONFIG_PATH=%s/opt/x/lib/pkgconfig pkg-config %s %s"):format(dir, question, name))
      return (output:gsub("[^\n]*pkgconfig/%a+%.pc:%d+: warning: [^\n]*\n", "")) -- of OpenSSL's own files
    end
    assert.equal(ssl._VERSION .. "\n", ask "--modversion")
    assert.equal(("/opt/x/share/lua/%s\n"):format(abi), ask "--variable=luapath")
    assert.equal("/opt/y\n", ask "--variable=luacpath")
    assert.equal("", ask "--validate")
    shell("rm -rf " .. dir)
    make("install", dir, "PKGCONFIGDIR=")
    for _, file in ipairs(files(dir)) do assert.is_nil(file:find("pkgconfig", 1, true)) end
  end)

  it("takes directories with blanks in their names, and leaves nothing else behind", function()
    local shown = shell("ls")
    make("install", dir, "PREFIX='/opt/a b'")
    assert.equal("luasec " .. ssl._VERSION .. "\n", (shell(("LUA_PATH='%s/opt/a b/share/lua/%s/?.lua;;' " ..
      "LUA_CPATH='%s/opt/a b/lib/lua/%s/?.so;;' %s '%s/opt/a b/bin/luasec' --version")
      :format(dir, abi, dir, abi, S.interpreter(), dir))))
    make("uninstall", dir, "PREFIX='/opt/a b'")
    assert.same({}, files(dir))
    assert.equal(shown, (shell("ls")))
  end)
end)

describe("make, where something is missing,", function()
  local dir
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    shell("mkdir " .. dir)
  end)
  after_each(function() shell("rm -rf " .. dir) end)

  local function build(settings)
    local output, status = shell(("env -u MAKEFLAGS -u MFLAGS make all LUA_VERSION=%s BUILD=%s/build %s")
      :format(version, dir, settings))
    assert.are_not.equal(0, status)
    assert.is_nil(output:find("  CC ", 1, true)) -- nothing was compiled
    return output
  end

  it("asks for a compiler", function()
    assert.matches("Cannot build: there is no C compiler \"no%-such%-cc\". On Debian: apt%-get install gcc",
      build "CC=no-such-cc")
  end)

  it("asks for the headers of the Lua that is meant", function()
    local asked = "Cannot build: no lua%.h of Lua " .. version .. " was found%. On Debian: apt%-get install "
    assert.matches(asked, build("LUA_CFLAGS=-nostdinc"))
    local f = assert(io.open(dir .. "/lua.h", "w"))
    f:write("#define LUA_VERSION_NUM 500\n")
    f:close()
    assert.matches(asked, build("LUA_CFLAGS=-I" .. dir)) -- another one's would make a library that crashes
  end)

  it("asks for the headers of OpenSSL", function()
    local f = assert(io.open(dir .. "/lua.h", "w"))
    f:write("#define LUA_VERSION_NUM ", (abi:gsub("%.", "0")), "\ntypedef int lua_Number;\n")
    f:close()
    assert.matches("Cannot build: no openssl/ssl%.h was found%. On Debian: apt%-get install pkg%-config libssl%-dev",
      build(("LUA_CFLAGS='-nostdinc -I%s'"):format(dir)))
  end)

  it("says what root can type", function()
    -- A PATH without sudo, and a user who is not root.
    for name, body in pairs { id = "echo 1000", ["dpkg-query"] = "exit 0" } do
      local f = assert(io.open(dir .. "/" .. name, "w"))
      f:write("#!/bin/sh\n", body, "\n")
      f:close()
    end
    for _, name in ipairs { "sh", "sed", "sort" } do
      shell(("ln -s $(command -v %s) %s/%s"):format(name, dir, name))
    end
    shell("chmod +x " .. dir .. "/*")
    local function asks()
      local output, status = shell(("PATH=%s tools/deps.sh rock"):format(dir))
      assert.equal(1, status)
      assert.matches("no sudo to install them by%. As root:\n *apt%-get install [%-a-z]+ luarocks\n", output)
    end
    asks()
    shell(("printf '#!/bin/sh\\nexit 1\\n' >%s/sudo; chmod +x %s/sudo"):format(dir, dir)) -- one that refuses
    asks()
  end)
end)

describe("the Debian package", function()
  it("has its build dependencies among what make deb installs", function()
    local wanted = S.read("packaging/debian/control"):match("\nBuild%-Depends:(.-)\n%u")
    local group = S.read("tools/deps.sh"):match("\n    deb%) (.-);;")
    local count = 0
    for entry in wanted:gmatch("[^,]+") do
      local name = entry:match("[%w.+-]+")
      local lua = name:match("lua(5%.%d)")
      if lua then assert.is_truthy(group:find(" " .. lua, 1, true), name)
      elseif name ~= "debhelper-compat" then assert.is_truthy(group:find(" " .. name .. " ", 1, true), name) end
      count = count + 1
    end
    assert.is_true(count >= 5)
    assert.is_truthy(group:find(" build-essential ", 1, true)) -- which every package may take for granted
  end)
end)

describe("the rockspec of the release", function()
  local function read(path)
    local spec, text = {}, S.read(path)
    if setfenv then -- luacheck: ignore 113
      setfenv(loadstring(text), spec)() -- luacheck: ignore 113
    else
      load(text, path, "t", spec)()
    end
    return spec
  end

  it("is that of the sources, under its version and tag", function()
    local scm, release = read "luasec-scm-1.rockspec", read(("luasec-%s-1.rockspec"):format(ssl._VERSION))
    assert.equal("scm-1", scm.version)
    assert.equal(ssl._VERSION .. "-1", release.version)
    assert.equal("v" .. ssl._VERSION, release.source.tag)
    assert.is_nil(release.source.branch)
    assert.equal(scm.source.url, release.source.url)
    for _, part in ipairs { "build", "dependencies", "external_dependencies", "description" } do
      assert.same(scm[part], release[part])
    end
  end)
end)
