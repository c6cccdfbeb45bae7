-- What detail.hint says about the commonest failures.

local S = require "support"

-- The detail tables of a failed handshake: client's, server's.
local function details(client, server)
  local c, s = S.wrapped(S.client(client), S.server(server))
  local cr, sr = S.shake(c, s)
  c:close()
  s:close()
  return cr[3], sr[3]
end

local function certificate(name) return { certificate = S.cert(name), key = S.cert(name .. "key") } end

describe("detail.hint", function()
  it("names what the certificate is for when the host is something else", function()
    for _, host in ipairs { "example.org", "10.0.0.1", "fe80::1" } do
      local detail = details { servername = host }
      assert.equal("verify", detail.kind)
      assert.equal(host, (detail.host:lower():gsub("^fe80:0:0:0:0:0:0:1$", "fe80::1")))
      assert.equal("localhost, server.test, 127.0.0.1, ::1", detail.names)
      assert.equal(("expected %s, the certificate is for %s"):format(detail.host, detail.names), detail.hint)
    end
  end)

  it("stays short when a certificate has very many names, and plain when they are hostile", function()
    local detail = details({ servername = "example.org" }, certificate "manysan")
    assert.matches("^expected example.org, the certificate is for %S+, .*, %.%.%.$", detail.hint)
    assert.is_true(#detail.hint < 250)
    detail = details({ servername = "example.org" }, certificate "nul")
    assert.is_nil(detail.hint:find("[%z\1-\31\127-\255]"))
    detail = details({ servername = "example.org" }, certificate "nosan")
    assert.matches("no subject alternative name", detail.hint)
  end)

  for _, row in ipairs {
    { "a CA that is not trusted", { cafile = S.cert("rootB") }, {}, "cafile" },
    { "an expired certificate", {}, certificate "expired", "has expired" },
    { "a certificate that is not valid yet", {}, certificate "notyet", "not valid yet" },
    { "a self-signed certificate", {}, certificate "selfsigned", "self%-signed" },
    { "a missing CRL", { verifyext = "crl_check" }, {}, "CRL" },
  } do
    it("helps with " .. row[1], function()
      local client, server = details(row[2], row[3])
      assert.matches(row[4], client.hint)
      assert.is_string(server.hint)
    end)
  end

  for _, row in ipairs {
    { "no protocol in common", { protocol = "tlsv1_2" }, { protocol = "tlsv1_3" }, "protocol", "protocol" },
    { "no cipher in common", { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" },
      { ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" }, "nothing in common", "no cipher in common" },
    { "a client certificate that is missing", { protocol = "tlsv1_2" },
      { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA") }, "nothing in common",
      "certificate and key" },
    { "no application protocol in common", { alpn = "h2" }, { alpn = { "h3" }, alpnstrict = true }, "alpn" },
  } do
    it("helps both sides with " .. row[1], function()
      local client, server = details(row[2], row[3])
      assert.matches(row[4], client.hint)
      if row[5] then assert.matches(row[5], server.hint) end
    end)
  end

  it("helps with a peer that speaks no TLS", function()
    local a, b = S.tcp()
    local c = assert(S.ssl.wrap(a, S.client()))
    c:settimeout(5)
    b:send("220 mail.example.org ESMTP\r\n")
    local ok, message, detail = c:dohandshake()
    assert.is_false(ok)
    assert.equal("wrong version number", message)
    assert.matches("STARTTLS", detail.hint)
    c:close()
    b:close()
    a, b = S.tcp()
    local s = assert(S.ssl.wrap(a, S.server()))
    s:settimeout(5)
    b:send("GET / HTTP/1.1\r\n\r\n")
    ok, message, detail = s:dohandshake()
    assert.is_false(ok)
    assert.equal("http request", message)
    assert.matches("plain HTTP", detail.hint)
    s:close()
    b:close()
  end)

  it("helps with files", function()
    local function hint(cfg) return (select(3, S.ssl.newcontext(S.server(cfg)))).hint end
    assert.matches("is the path right", hint { key = "/nowhere" })
    assert.matches("is a directory", hint { cafile = S.certdir .. "/capath" })
    assert.matches("BEGIN CERTIFICATE", hint { certificate = S.cert "serverAkey" })
    assert.matches("cut short", hint { certificate = S.cert "cut" })
    assert.matches("no certificate in PEM", hint { cafile = S.cert "junk" })
    assert.matches("password is wrong", hint { key = S.cert "rsakey-legacy", password = "x" })
    assert.matches("password is wrong", hint { certificate = S.NONE, key = S.NONE,
      pkcs12 = { file = S.certdir .. "/serverA.p12", password = "x" } })
    assert.matches("setting password", hint { key = S.cert "rsakey-legacy" })
    assert.matches("another private key", hint { key = S.cert "serverBkey" })
    assert.matches("another private key", hint { certificate = S.cert "rsa", key = S.cert "serverAkey" })
    assert.matches("no private key", hint { key = S.cert "junk" })
    assert.matches("ciphersuites", hint { ciphers = "x" })
  end)

  it("helps before the handshake, after it failed and after close", function()
    local c, s = S.wrapped(S.client { cafile = S.cert("rootB") })
    local function hint() return (select(4, c:send("x"))).hint end
    assert.matches("call dohandshake first", hint())
    assert.equal(hint(), (select(3, c:info())).hint)
    assert.equal(hint(), (select(3, c:getpeerchain())).hint)
    assert.equal(hint(), (select(4, c:receive())).hint)
    S.shake(c, s)
    assert.matches("cafile", hint()) -- what ended it
    c:close()
    s:close()
    assert.matches("has closed", hint())
  end)

  it("tells a server that trusts nobody so", function()
    local _, server = details(certificate "clientA", { verify = "peer" })
    assert.matches("trusts no CA", server.hint)
    _, server = details(certificate "clientB", { verify = "peer", cafile = S.cert("rootA") })
    assert.is_nil(server.hint:find("trusts no CA", 1, true))
  end)

  it("is absent where there is nothing to say", function()
    local c, s = S.connected()
    local _, _, _, detail = s:receive()
    assert.is_nil(detail.hint)
    c:close()
    s:close()
  end)
end)
