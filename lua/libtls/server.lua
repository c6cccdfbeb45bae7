--- Servers of the libtls facade as their configuration changes. As in libtls, what a server is made from stays as it
-- was, but for ticket keys, session lifetime, the switches of verification and the staple: these reach the
-- connections that are accepted from then on.
-- @module libtls.server

local config = require "libtls.config"
local context = require "ssl.context"
local settings = require "libtls.settings"

local unpack = table.unpack or unpack -- luacheck: ignore 143

local M = {}

-- ---- verification: authorities and revocation list are read when it is first needed, and stay

local function verification(self, cfg)
  local verifies = cfg.verifyclient and cfg.verifycert
  local ok, message = context.setclientauth(self.ctx, cfg.verifyclient or "none")
  if ok and verifies and not self.trusting then
    ok, message = settings.trust(cfg, self.ctx)
    self.trusting = ok
  end
  if ok and verifies then
    ok, message = self.ctx:setverifyext()
  elseif ok then
    ok, message = self.ctx:setverifyext("lsec_continue")
  end
  if ok then ok, message = context.setchecktime(self.ctx, cfg.verifytime) end
  return ok, message
end

-- ---- staples

-- One that has been sent may have grown old since: it is left out. One that never could be is a mistake.
local function usable(self, der)
  local ok, message = self.ctx:setocsp(der)
  if ok then self.sent[der] = true end
  return ok or self.sent[der] or nil, ok, message
end

local function staples(self, cfg)
  local list = {}
  -- The staple of another certificate is for servers made with that one.
  if cfg.pair.cert == self.cert then self.staple = cfg.pair.staple end
  for _, der in ipairs { self.staple or false, unpack(self.others) } do
    if der then
      local ok, current, message = usable(self, der)
      if not ok then return nil, message end
      if current then list[#list + 1] = der end
    end
  end
  return self.ctx:setocsp(list[1] and list or nil)
end

-- ---- sessions

local function sessions(self, cfg)
  local ok, message = context.setnosessions(self.ctx, cfg.lifetime == 0)
  if ok and cfg.lifetime ~= 0 then ok, message = context.setsessiontimeout(self.ctx, cfg.lifetime) end
  return ok, message
end

-- They follow the clock, too.
local function tickets(self, cfg)
  if cfg.lifetime == 0 then return true end
  local keys, message = config.ticketkeys(cfg)
  if not keys then return nil, message end
  if self.ticketversion == cfg.ticketversion and self.ticketcount == #keys then return true end
  local ok
  ok, message = self.ctx:setticketkeys(keys)
  if ok then self.ticketversion, self.ticketcount = cfg.ticketversion, #keys end
  return ok, message
end

--- Brings a server up to date. What is wrong now is wrong until the configuration is mended.
-- @tparam table self of M.new
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.refresh(self)
  local cfg = self.config
  if self.version ~= cfg.version then
    for _, apply in ipairs { verification, staples, sessions } do
      local ok, message = apply(self, cfg)
      if not ok then return nil, message end
    end
    self.version = cfg.version
  end
  local ok, message = tickets(self, cfg)
  return ok or nil, message
end

--- Makes a server.
-- @tparam table cfg state of a configuration
-- @treturn[1] table with ctx, the context that connections are made from
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.new(cfg)
  local ctx, message = settings.context(cfg, "server")
  if not ctx then return nil, message end
  local self = { config = cfg, ctx = ctx, cert = cfg.pair.cert, others = {}, sent = {} }
  for _, pair in ipairs(cfg.more) do self.others[#self.others + 1] = pair.staple end
  context.setsessionid(ctx, cfg.sessionid)
  local ok
  ok, message = M.refresh(self)
  if not ok then return nil, message end
  return self
end

return M
