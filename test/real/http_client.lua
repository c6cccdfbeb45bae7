-- socket.http on https:// addresses: the caller never names ssl.https. With the argument "trusted" the
-- process was started with rootA as its system's roots, so that the plain string form succeeds too.

local http = require "socket.http"
local ltn12 = require "ltn12"
local socket = require "socket"
local t = require "realtest"

local CERTS = os.getenv("CERTS")
local BASE = "https://127.0.0.1:" .. os.getenv("NGINX_PORT")
local PAGE = "a page of nginx\n"

local function fetch(path, cafile)
  local parts = {}
  local good, code = http.request {
    url = BASE .. path, sink = ltn12.sink.table(parts), verify = "peer", cafile = CERTS .. "/" .. cafile,
    protocol = "any", mode = "client",
  }
  return good and table.concat(parts), code
end

local function with_cafile()
  local body, code = fetch("/page.txt", "rootA.pem")
  t.proof()
  t.equal("a verified page", body, PAGE)
  t.equal("its status", code, 200)
  body, code = fetch("/page.txt", "rootB.pem")
  t.check("another CA: refused", not body and tostring(code):find("certificate verify failed"), code)

  -- LuaSec's socket takes its time limit from ssl.https alone; a program sets both.
  http.TIMEOUT, require("ssl.https").TIMEOUT = 0.5, 0.5
  local began = socket.gettime()
  body, code = fetch("/slow", "rootA.pem")
  t.check("a slow answer ends in a timeout", not body and (code == "wantread" or code == "timeout"), code)
  t.check("and within its time", socket.gettime() - began < 5, socket.gettime() - began)
end

local function plain(trusted)
  local body, code = http.request(BASE .. "/page.txt")
  t.proof()
  if trusted then
    t.equal("http.request(string), trusted", body, PAGE)
  elseif t.ours then
    t.check("http.request(string), not trusted: refused",
            not body and tostring(code):find("certificate verify failed"), code)
  else
    t.skip("http.request(string), not trusted: refused", "LuaSec does not verify by default")
  end
end

if arg[1] == "trusted" then
  plain(true)
else
  with_cafile()
  require("ssl.https").TIMEOUT = 60
  plain(false)
end
t.done()
