---@meta ssl.https
-- Made by `make reference` from the comments of the sources: change those.

---@class module.ssl.https
---@field PORT integer The port when the URL names none.
---@field TIMEOUT number Seconds that each wait for the server may take, 60; read at each request. For a limit to the whole of a request there is its field timeout.
---@field _COPYRIGHT string ssl._COPYRIGHT.
---@field _VERSION string ssl._VERSION.
---@field verify "peer"|"none" What verify is when a request does not say: "none" turns verification off for the whole program.
local M = {}

---Makes a request: GET of a URL, POST when there is a body; or what a table says, which is left as it was. Answers the body for a URL, 1 for a table. "timeout" is the message when the request's timeout is over, "wantread" or "wantwrite" when TIMEOUT is. What the source or the sink raise is raised.
---@param target string|ssl.https.Request
---@param body? string
---@return string|1|nil body
---@return integer|string code
---@return table<string, string>|ssl.Detail headers
---@return string|nil status
function M.request(target, body) end

---What LuaSocket's http wants as `create`: makes objects with LuaSocket's tcp methods that speak TLS when they connect; connect throws as socket.try does. params: settings as for ssl.newcontext, proxy, and timeout, seconds from now for all; keys it does not know are passed over; it is left as it was.
---@param params? ssl.Settings
---@return function create
function M.tcp(params) end

---The fields of LuaSocket's http.request beside settings for ssl.newcontext.
---@class ssl.https.Request : ssl.Settings
---@field url? string
---@field method? string "GET"
---@field headers? table<string, string>
---@field source? function LTN12 source of the body
---@field sink? function LTN12 sink for the answer's body
---@field step? function LTN12 pump step
---@field redirect? boolean false: redirects are not followed
---@field maxredirects? integer|false how many are followed, 5; false: up to 50
---@field proxy? string|table|false "http://user:password@host:port", https for TLS to the proxy; a table of such a url and of settings for that TLS, without which the proxy is verified by the CAs of the request; false: none, where http.PROXY has one
---@field timeout? number seconds for all of the request, from the look-up of the name to the last byte of the last answer
---@field user? string for HTTP authentication, with password

return M
