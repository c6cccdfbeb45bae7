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
      return (shell(("PKG_CONFIG_PATH=%s/opt/x/lib/pkgconfig pkg-config %s %s"):format(dir, question, name)))
    end
    assert.equal(ssl._VERSION .. "\n", ask "--modversion")
    assert.equal(("/opt/x/share/lua/%s\n"):format(abi), ask "--variable=luapath")
    assert.equal("/opt/y\n", ask "--variable=luacpath")
    assert.equal("", ask "--validate")
    shell("rm -rf " .. dir)
    make("install", dir, "PKGCONFIGDIR=")
    for _, file in ipairs(files(dir)) do assert.is_nil(file:find("pkgconfig", 1, true)) end
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
