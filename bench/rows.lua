-- The rows of the benchmark: workload, size, how many, and the goals. No measuring here.
--
-- Goals are ratios. A: the installed LuaSec's cost divided by ours, at least this. B: our cost divided by plain C's,
-- at most this. A differs from Lua to Lua, because LuaSec's cost does: on 5.1 and LuaJIT its buffers are slower. Where
-- no goal is given for a Lua, ours must not lose.

local M = {}

local function goals(v54, luajit, v51)
  return { ["5.4"] = v54, luajit = luajit, ["5.1"] = v51 or 1.00, ["5.2"] = 1.00, ["5.3"] = 1.00 }
end

local function same(a) return goals(a, a, a) end

local MIB, BODY = 1048576, 268435456

-- n is for --scale 1, some 0.2 s of CPU. unit: what the figure is in, us where nothing is said. tolerance: how far a
-- median may miss its goal before the row fails. fixed: n whatever the scale. once: the same in every round. floor: the
-- plain C that Lua's own cost, measured in the same round, is added to. readahead: B against plain C with read-ahead.
-- bare: plain C called from Lua on LuaSocket's sockets (bare.c) is measured too, the limit there. limit: what plain C
-- does there instead of the same.
M.list = {
  { id = "send1m", name = "send, 1 MiB strings", wl = "send", size = MIB, n = 600, A = goals(1.25, 1.25), B = 1.03 },
  { id = "send16k", name = "send, 16 KiB", wl = "send",
    size = 16384, n = 48000, A = goals(1.25, 1.22, 1.22), B = 1.06 },
  { id = "send1k", name = "send, 1 KiB", wl = "send", size = 1024, n = 150000, A = goals(1.15, 1.15), B = 1.14 },
  { id = "send64", name = "send, 64 B", wl = "send", size = 64, n = 180000, A = goals(1.35, 1.30), B = 1.22,
    tolerance = 0.10 },
  { id = "recv64k", name = "receive(65536)", wl = "recv",
    size = 65536, n = 4800, A = goals(1.12, 1.11, 2.0), B = 1.05 },
  { id = "recv8k", name = "receive(8192)", wl = "recv", size = 8192, n = 38400, A = goals(1.12, 1.07), B = 1.08 },
  { id = "recv1m", name = "receive(1 MiB)", wl = "recv", size = MIB, n = 300, A = goals(1.03, 2.2, 2.3), B = 1.20 },
  { id = "recv256", name = "receive(256), 256 B records", wl = "recv", size = 256, n = 150000, record = 256,
    A = goals(1.75, 1.7), B = 0.82, readahead = 1.10, floor = "rawra" },
  { id = "line32", name = "`*l`, 32 B lines", wl = "line", size = 32, n = 1200000, unit = "ns",
    A = goals(1.55, 1.6, 1.45), B = 1.35, floor = "raw", bare = true },
  { id = "line200", name = "`*l`, 200 B lines", wl = "line", size = 200, n = 600000, unit = "ns",
    A = goals(1.85, 1.7), B = 2.1, bare = true },
  { id = "line1", name = "`*l`, 32 B lines, one a record", wl = "line", size = 32, n = 150000, record = 32,
    A = goals(1.75, 1.7), B = 0.86 },
  { id = "all", name = "`*a`, 256 MiB", wl = "all", size = BODY, n = 1, unit = "ms", A = goals(0.95, 3.0, 2.3),
    tolerance = 0.10 },
  { id = "allmem", name = "`*a`, peak memory / payload", of = "all", unit = "x", max = 2.1, tolerance = 0 },
  { id = "ping", name = "ping-pong, 64 B", wl = "ping",
    size = 64, n = 30000, A = goals(1.10, 1.08, 1.12), B = 1.05,
    tolerance = 0.10 },
  { id = "engines16k", name = "engine to engine, 16 KiB", wl = "engines", size = 16384, n = 30000, B = 1.11 },
  { id = "engines64k", name = "engine to engine, 64 KiB", wl = "engines", size = 65536, n = 7500, B = 1.11 },
  { id = "engines1k", name = "engine to engine, 1 KiB", wl = "engines", size = 1024, n = 150000, B = 1.50 },
  { id = "client", name = "client handshake, full", wl = "client", n = 480, A = same(1.00), B = 1.08,
    bare = true },
  { id = "resumed", name = "client handshake, resumed", wl = "resumed", n = 960, A = same(2.0), B = 1.12,
    resumes = true, bare = true },
  { id = "server", name = "server handshake, full", wl = "server", n = 720, A = same(1.00), B = 1.08,
    bare = true },
  { id = "sresumed", name = "server handshake, resumed", wl = "sresumed", n = 960, A = same(1.00), B = 1.05,
    resumes = true, bare = true },
  { id = "newctx", name = "newcontext, 144 CAs, first", wl = "newctx", n = 16, unit = "ms", fixed = true,
    A = same(0.98), B = 1.03 },
  { id = "newctx2", name = "newcontext, 144 CAs, later", wl = "newctx2", n = 2000, A = same(100), B = 1.2,
    limit = "SSL_CTX_new alone" },
  { id = "ctxconn", name = "context per connection, CA file", wl = "ctxconn", n = 480, A = same(25), B = 1.5,
    limit = "one context for all" },
  { id = "idle", name = "memory per idle connection", wl = "idle", n = 2000, unit = "KiB", fixed = true, once = true,
    A = goals(1 / 0.65, 1 / 0.75, 1 / 0.65), B = 1.05, max = 20 },
}

M.DEFAULT_TOLERANCE = 0.05

-- What shrinks the fixed sizes in a smoke run: 16 MiB bodies, 200 connections, 2 CA files.
M.smoke = { all = { size = 16 * MIB }, idle = { n = 200 }, newctx = { n = 2 } }

return M
