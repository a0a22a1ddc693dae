#!/usr/bin/lua5.4
-- lua: tables, strings, closures, metatables, coroutines and integers.
local percent = tonumber(arg[1] or 100)
local sum = 0
local function mix(value) sum = (sum * 31 + value) % 4294967291 end

local seed = 7
local function random()
  seed = seed * 48271 % 2147483647
  return seed
end

local Vector = {}
Vector.__index = Vector
Vector.__add = function(a, b) return setmetatable({x = a.x + b.x, y = a.y + b.y}, Vector) end
function Vector:turned() return setmetatable({x = -self.y, y = self.x}, Vector) end

local at = setmetatable({x = 0, y = 0}, Vector)
local step = setmetatable({x = 1, y = 2}, Vector)
for i = 1, 10000 * percent do
  at = at + step
  if i % 3 == 0 then step = step:turned() end
end
mix(at.x * 7 + at.y)

local list = {}
for i = 1, 1500 * percent do list[i] = random() end
table.sort(list)
for i = 1, #list, 7 do mix(list[i] // 3) end

local words = {}
for i = 1, 1500 * percent do words[i] = string.format("%x:%d", random() % 65536, i % 10) end
local text = table.concat(words, ",")
local counts = {}
for word, digit in text:gmatch("([0-9a-f]+):(%d)") do counts[digit] = (counts[digit] or 0) + #word end
for digit = 0, 9 do mix(counts[tostring(digit)] or 0) end
mix(#text:gsub("a(%x)", "%1%1"))

local function queens(n)
  return coroutine.wrap(function()
    local column, up, down = {}, {}, {}
    local function place(row)
      if row > n then return coroutine.yield(column[1]) end
      for c = 1, n do
        if not (column[c] or up[row + c] or down[row - c + n]) then
          column[c], up[row + c], down[row - c + n] = row, true, true
          place(row + 1)
          column[c], up[row + c], down[row - c + n] = nil, nil, nil
        end
      end
    end
    place(1)
  end)
end
for _ = 1, percent // 10 + 1 do
  for first in queens(7) do mix(first or 0) end
end
print(math.tointeger(sum))
