-- Sources of keys, certificates and revocation lists that hold more, or less, than they seem to, or a secret.

local S = require "support"
local context = require "ssl.context"

local function any() return (assert(context.create "any")) end

-- A file of `content` for the time of the test.
local function file(content)
  local name = S.tmpfile(content)
  S.atend(finally, function() os.remove(name) end)
  return name
end

local function openssl(command)
  local p = assert(io.popen("openssl " .. command .. " 2>/dev/null"))
  local out = p:read("*a")
  p:close()
  return out
end

local function refused(message, kind, ok, err, detail)
  assert.same({ false, message, kind }, { ok, err, detail.kind })
end

local kinds = { certificate = context.loadcert, ["private key"] = context.loadkey }

describe("DER", function()
  it("with certificates behind the first one is refused: they would not be sent", function()
    local leaf = openssl("x509 -outform DER -in " .. S.cert("chainA-leaf"))
    local inter = openssl("x509 -outform DER -in " .. S.cert("interA"))
    assert.is_true(context.loadcert(any(), file(leaf)))
    for _, more in ipairs { inter, "\n", "\0", ("x"):rep(100000) } do
      refused("error loading certificate (the file has more in it than one certificate in DER: use PEM)", "config",
        context.loadcert(any(), file(leaf .. more)))
    end
  end)

  it("with revocation lists behind the first one is refused: they would not be asked", function()
    local list = openssl("crl -outform DER -in " .. S.cert("crlA"))
    assert.is_true(context.crls(any(), file(list)))
    refused("error loading revocation list (the file is neither PEM nor one whole revocation list in DER)", "config",
      context.crls(any(), file(list .. list)))
  end)
end)

describe("a store", function()
  it("tells a path that is not there from a kind that no provider knows", function()
    for what, load in pairs(kinds) do
      for _, missing in ipairs { "store:", "store:/nowhere", "store:file:/nowhere", "store:file:///nowhere/x.pem" } do
        refused("error loading " .. what .. " (No such file or directory)", "system", load(any(), missing))
      end
      for _, unknown in ipairs { "store:nosuchscheme:x", "store:pkcs11:token=x" } do
        refused("error loading " .. what .. " (no provider is loaded that knows stores of this kind)", "config",
          load(any(), unknown))
      end
    end
  end)

  it("does not tell the PIN in its URI", function()
    for _, load in pairs(kinds) do
      local ok, err, detail = load(any(), "store:pkcs11:token=x;object=y?pin-value=424242")
      assert.is_false(ok)
      assert.is_nil(err:find("424242", 1, true))
      for _, value in pairs(detail) do assert.is_nil(tostring(value):find("424242", 1, true)) end
      for _, entry in ipairs(detail.stack or {}) do assert.is_nil(entry:find("424242", 1, true)) end
    end
  end)
end)

describe("a pipe", function()
  it("is as good as a file with PEM, and says so when it has none", function()
    local out = S.fresh([[
      local S = require "support"
      local ctx = assert(S.ssl.newcontext(S.server { certificate = os.getenv "PIPE" }))
      print(ctx ~= nil)]], "cat " .. S.cert("serverA") .. " | PIPE=/dev/fd/3 3<&0")
    assert.equal("true", out)
    out = S.fresh([[
      local context = require "ssl.context"
      print((select(2, context.loadcert(context.create "any", "/dev/fd/3"))))]], "echo junk | 3<&0")
    assert.equal("error loading certificate (no start line)", out)
  end)
end)
