-- The targets of the fuzzer without the fuzzer, on every Lua: the inputs of test/fuzz/corpus, those that a target makes
-- itself, and some at random. `make fuzz` looks for new ones.

local S = require "support"
local kit = require "fuzzkit"
local ssl = require "ssl"
local tlv = require "fuzztlv"

local function contents(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

local function list(command)
  local lines, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

local function bytes(random, n)
  local t = {}
  for i = 1, n do t[i] = string.char(random(256) - 1) end
  return table.concat(t)
end

-- libFuzzer's own mutator, more or less.
local function native(s, max)
  local random = S.random(#s + 1)
  return (s .. bytes(random, 4)):sub(1, max)
end

local function try(run, input, what)
  local ok, message = pcall(run, input)
  assert(ok, what .. ": " .. tostring(message))
end

-- As many as take a second or so; the others take their turn on another Lua.
local function some(all, most, f)
  local step = math.max(1, math.floor(#all / most))
  for i = 1 + #_VERSION % step, #all, step do f(i, all[i]) end
end

for _, file in ipairs(list "ls test/fuzz/*.lua") do
  local name = file:match "(%w+)%.lua$"
  describe("the fuzzer's target " .. name, function()
    local target = dofile("test/fuzz/" .. name .. ".lua")

    it("gets through the inputs that are kept", function()
      local files = list("ls test/fuzz/corpus/" .. name)
      assert.is_true(#files > 5)
      for _, input in ipairs(files) do
        try(target.run, contents(("test/fuzz/corpus/%s/%s"):format(name, input)), input)
      end
    end)

    it("gets through those that it makes itself", function()
      local seeds = target.seeds and target.seeds() or {}
      some(seeds, 30, function(i, input) try(target.run, input, "seed " .. i) end)
    end)

    it("gets through programs at random, and through what it mutates", function()
      local seeds = target.seeds and target.seeds() or { "" }
      for seed = 1, 40 do
        local random = S.random(seed * 7919)
        local input = bytes(random, random(60))
        if target.mutate and seed % 2 == 0 then
          input = target.mutate(seeds[random(#seeds)], 4096, seed, native)
          assert(type(input) == "string" and #input <= 4096)
        end
        try(target.run, input, "seed " .. seed)
      end
    end)
  end)
end

-- ---- the oracles: each must tell of a library that is broken in one place

local conn = assert(ssl.engine { mode = "client", protocol = "any" })
local connmethods = getmetatable(conn).__index
local certificate = assert(ssl.loadcertificate((ssl.selfsigned())))
local certmethods = getmetatable(certificate).__index

local restore = {}

local function broken(t, name, instead)
  local original = t[name]
  table.insert(restore, 1, function() t[name] = original end)
  t[name] = function(...) return instead(original, ...) end
end

local function mend()
  for _, f in ipairs(restore) do f() end
  restore = {}
end

local function caught(name)
  local target = dofile("test/fuzz/" .. name .. ".lua")
  for _, input in ipairs(target.seeds and target.seeds() or { "\0\2\2" }) do
    if not pcall(target.run, input) then return true end
  end
  return false
end

describe("the fuzzer's oracles tell", function()
  after_each(mend)

  it("of answers without their shape", function()
    for _, answer in ipairs { { false }, { nil, "" }, { false, "x (null)" }, { nil, "bad", {} } } do
      broken(connmethods, "dohandshake", function() return answer[1], answer[2], answer[3] end)
      assert.is_true(caught "handshake")
      assert.is_true(caught "calls")
      mend()
    end
  end)

  it("of what raises", function()
    broken(ssl, "newcontext", function(original, cfg)
      if cfg.depth then error("attempt to index a nil value") end
      return original(cfg)
    end)
    assert.is_true(caught "settings")
  end)

  it("of settings refused without a reason", function()
    broken(ssl, "newcontext", function(original, cfg)
      if cfg.crldata then return nil, "" end
      return original(cfg)
    end)
    assert.is_true(caught "material")
  end)

  it("of bytes that differ from the model's", function()
    for _, way in ipairs {
      function(s) return s:gsub("rest", "test") end,
      function(s) return s:sub(2) end,
    } do
      broken(connmethods, "receive", function(original, ...)
        local got, message, partial, detail = original(...)
        return got and way(got) or nil, message, partial, detail
      end)
      assert.is_true(caught "receive")
      mend()
    end
  end)

  it("of names that do not stand there", function()
    broken(certmethods, "subject", function(original, ...)
      local t = original(...)
      if t[1] then t[1].value = "x" end
      return t
    end)
    assert.is_true(caught "certificate")
    broken(certmethods, "extensions", function(original, ...)
      local t = original(...)
      for _, extension in pairs(t) do table.remove(extension.dNSName or {}) end
      return t
    end)
    assert.is_true(caught "extensions")
    mend()
    broken(certmethods, "checkhost", function() return true end)
    assert.is_true(caught "extensions")
  end)

  it("of protocols that nobody chose", function()
    broken(connmethods, "getalpn", function(original, ...) return original(...) and "h3" end)
    assert.is_true(caught "alpn")
  end)
end)

describe("the mutator of DER", function()
  it("writes what it has read", function()
    local count = 0
    for _, file in ipairs(kit.files ".der") do
      assert.equal(file.bytes, tlv.write(tlv.parse(file.bytes)))
      count = count + 1
    end
    local der = certificate:der()
    assert.equal(der, tlv.write(tlv.parse(der)))
    assert.is_true(count > 0)
  end)

  it("takes what is no DER as it is", function()
    for _, junk in ipairs { "\48", "\48\5a", "\48\128\0\0", "\31\1a", "\48\132\127\255\255\255" } do
      assert.is_nil(tlv.parse(junk))
      assert.equal("string", type(tlv.mutate(junk, 100, S.random(1), native)))
    end
    assert.is_nil(tlv.parse(("\48\128"):rep(100000)))
  end)

  it("keeps the lengths right around what it changes", function()
    local whole = 0
    for seed = 1, 200 do
      local made = tlv.mutate(certificate:der(), 4096, S.random(seed * 31), native)
      if tlv.parse(made) then whole = whole + 1 end
    end
    assert.is_true(whole > 140)
  end)
end)
