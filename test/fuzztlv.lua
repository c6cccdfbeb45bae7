-- DER as a tree, for targets whose inputs are DER: what changes one thing in it leaves the lengths around it
-- right, so that most of what a fuzzer makes is still read to its end.

local M = {}

local MAXDEPTH = 24
local MAXNODES = 4000

-- ---- bytes to tree: nodes { tag =, content = bytes } or { tag =, prefix = bytes, children = nodes }

-- Where the content of the value at `at` begins and ends, in one form of length only: definite, at most three bytes.
local function header(bytes, at)
  local first = bytes:byte(at)
  if not first or first % 32 == 31 then return nil end -- tags of several bytes stay content
  local n, from = bytes:byte(at + 1), at + 2
  if not n or n == 128 or n > 131 then return nil end
  if n > 128 then
    local size = n - 128
    n = 0
    for i = from, from + size - 1 do n = n * 256 + (bytes:byte(i) or 0) end
    from = from + size
  end
  if from + n - 1 > #bytes then return nil end
  return from, from + n - 1
end

local parse

-- The nodes inside a value, when all of it is such: constructed ones, and strings that hold DER.
local function inside(tag, content, depth, budget)
  if tag >= 32 and math.floor(tag / 32) % 2 == 1 then return parse(content, depth, budget), "" end
  if tag == 4 then return parse(content, depth, budget), "" end
  if tag == 3 and content:byte() == 0 then return parse(content:sub(2), depth, budget), "\0" end
end

function parse(bytes, depth, budget)
  local nodes, at = {}, 1
  if depth > MAXDEPTH then return nil end
  while at <= #bytes do
    local from, to = header(bytes, at)
    if not from or budget.left == 0 then return nil end
    budget.left = budget.left - 1
    local node = { tag = bytes:byte(at), content = bytes:sub(from, to) }
    local children, prefix = inside(node.tag, node.content, depth + 1, budget)
    if children and #children > 0 then node.children, node.prefix, node.content = children, prefix, nil end
    nodes[#nodes + 1] = node
    at = to + 1
  end
  return nodes
end

--- The nodes of DER; nil for bytes that are none.
function M.parse(bytes) return parse(bytes, 0, { left = MAXNODES }) end

-- ---- and back

local function length(n)
  if n < 128 then return string.char(n) end
  if n < 256 then return string.char(0x81, n) end
  if n < 65536 then return string.char(0x82, math.floor(n / 256), n % 256) end
  return string.char(0x83, math.floor(n / 65536), math.floor(n / 256) % 256, n % 256)
end

function M.write(nodes)
  local parts = {}
  for i, node in ipairs(nodes) do
    local content = node.children and node.prefix .. M.write(node.children) or node.content
    parts[i] = string.char(node.tag) .. (node.length or length(#content)) .. content
  end
  return table.concat(parts)
end

-- ---- changes

-- All nodes with the list that each is in.
local function places(nodes, list)
  for i, node in ipairs(nodes) do
    list[#list + 1] = { nodes = nodes, i = i }
    if node.children then places(node.children, list) end
  end
  return list
end

local function copy(node)
  local c = { tag = node.tag, content = node.content, prefix = node.prefix }
  if node.children then
    c.children = {}
    for i, child in ipairs(node.children) do c.children[i] = copy(child) end
  end
  return c
end

-- The types that certificates are made of, and the tags of GeneralName.
local tags = { 1, 2, 3, 4, 5, 6, 10, 12, 18, 19, 20, 22, 23, 24, 26, 27, 28, 30, 48, 49, 0xa0, 0xa1, 0xa3, 0x81, 0x82,
  0x84, 0xa4, 0xa5, 0x86, 0x87, 0x88 }
local contents = { "", "\0", "\1", "\255", "\0\0", "\127\0\0\1", ("\255"):rep(16), "a\0b", "*.test", "\128\128\1",
  "\0d\0\246", "\0\0\0a", "\237\160\128", "20491231235959Z", "491231235959Z", "\85\29\17", "\43\6\1\5\5\7\8\5",
  "\128" .. ("\255"):rep(9) .. "\127" }

local function leaf(random) return { tag = tags[random(#tags)], content = contents[random(#contents)] } end

-- Flattens a node: its content is bytes from then on.
local function flatten(node)
  if node.children then
    node.content, node.children = node.prefix .. M.write(node.children), nil
  end
end

-- Each takes where it is, a random function, libFuzzer's own mutator, and all places.
local changes = {
  function(p, random) p.nodes[p.i].tag = tags[random(#tags)] end,
  function(p, random) p.nodes[p.i].tag = random(256) - 1 end,
  function(p) table.remove(p.nodes, p.i) end,
  function(p) table.insert(p.nodes, p.i, copy(p.nodes[p.i])) end,
  function(p, random) table.insert(p.nodes, p.i + random(2) - 1, leaf(random)) end,
  function(p, random, _, all) -- a piece of elsewhere
    local from = all[random(#all)]
    table.insert(p.nodes, p.i, copy(from.nodes[from.i]))
  end,
  function(p, random, _, all) -- in its place
    local from = all[random(#all)]
    p.nodes[p.i] = copy(from.nodes[from.i])
  end,
  function(p, random) p.nodes[p.i] = { tag = tags[random(#tags)], prefix = "", children = { p.nodes[p.i] } } end,
  function(p, random)
    flatten(p.nodes[p.i])
    p.nodes[p.i].content = contents[random(#contents)]
  end,
  function(p, random) -- repeated
    flatten(p.nodes[p.i])
    local content = p.nodes[p.i].content
    p.nodes[p.i].content = content:rep(math.min(2 ^ random(10), math.floor(4000 / (#content + 1)) + 1))
  end,
  function(p, random) -- a length that is none
    p.nodes[p.i].length = ({ "\128", "\0", "\255", "\129\1", "\130\0\1", "\132\255\255\255\255", "\127" })[random(7)]
  end,
}

local function bynative(p, _, native)
  local node = p.nodes[p.i]
  flatten(node)
  node.content = native(node.content, #node.content + 16)
end

--- Changes DER in a few places; bytes that are no DER go to native(bytes, max).
-- @tparam string bytes
-- @tparam number max most bytes of the result; what is longer stays as it was
-- @tparam function random random(n): 1 to n
-- @tparam function native libFuzzer's mutator
function M.mutate(bytes, max, random, native)
  local nodes = random(12) > 1 and M.parse(bytes)
  if not nodes or #nodes == 0 then return native(bytes, max) end
  for _ = 1, random(3) do
    local all = places(nodes, {})
    if #all == 0 then break end
    local change = random(2) == 1 and bynative or changes[random(#changes)]
    change(all[random(#all)], random, native, all)
  end
  local made = M.write(nodes)
  return #made <= max and made or native(bytes, max)
end

return M
