#!/usr/bin/luajit
-- LuaJIT: many short traces: strings, tables, closures, sorting, permutations and a life on a torus.
local bit = require("bit")
local percent = tonumber(arg[1] or 100)
local sum = 0
local function mix(value) sum = (sum * 31 + value) % 4294967291 end

local seed = 7
local function random()
  seed = seed * 48271 % 2147483647
  return seed
end

local words, counts = {}, {}
for i = 1, 4000 * percent do words[i] = string.format("%x", random() % 5000) .. i % 3 end
for _, word in ipairs(words) do counts[word] = (counts[word] or 0) + 1 end
for i = 1, #words, 5 do mix(counts[words[i]] * #words[i]) end
for i = 1, #words do mix(words[i]:byte(-1) + bit.bxor(words[i]:byte(1), i)) end

local list = {}
for i = 1, 1500 * percent do list[i] = {key = random(), rank = i} end
table.sort(list, function(a, b) return a.key < b.key end)
for i = 1, #list, 9 do mix(list[i].rank) end

local function permuted(n, list, visit)
  if n == 0 then return visit(list) end
  for i = 1, n do
    list[n], list[i] = list[i], list[n]
    permuted(n - 1, list, visit)
    list[n], list[i] = list[i], list[n]
  end
end
for _ = 1, 1 + percent / 10 do
  permuted(8, {1, 2, 3, 4, 5, 6, 7, 8}, function(l) if l[1] < l[8] then mix(l[3] * l[5]) end end)
end

local size = 64
local world = {}
for i = 0, size * size - 1 do world[i] = random() % 3 == 0 and 1 or 0 end
for _ = 1, 6 * percent do
  local after = {}
  for y = 0, size - 1 do
    for x = 0, size - 1 do
      local neighbours = -world[y * size + x]
      for dy = -1, 1 do
        local row = (y + dy) % size * size
        neighbours = neighbours + world[row + (x - 1) % size] + world[row + x] + world[row + (x + 1) % size]
      end
      after[y * size + x] = (neighbours == 3 or neighbours == 2 and world[y * size + x] == 1) and 1 or 0
    end
  end
  world = after
end
for i = 0, size * size - 1 do mix(world[i]) end
print(string.format("%d", sum))
