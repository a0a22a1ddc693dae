-- Loops that a tracing compiler takes to machine code: floating point, integers, tables, strings, closures, FFI.
local bit = require("bit")
local ffi = require("ffi")

local function nbody(steps)
  local bodies = {
    {x = 0, y = 0, z = 0, vx = 0, vy = 0, vz = 0, mass = 39.47841760435743},
    {x = 4.84143144246472090, y = -1.16032004402742839, z = -0.103622044471123109, vx = 0.606326392995832, vy = 2.81198684491626, vz = -0.02521836165988763, mass = 0.03769367487038949},
    {x = 8.34336671824457987, y = 4.12479856412430479, z = -0.403523417114321381, vx = -1.01077434617879, vy = 1.82566237123041, vz = 0.008415761376584154, mass = 0.011286326131968767}}
  for _ = 1, steps do
    for i = 1, #bodies do
      local a = bodies[i]
      for j = i + 1, #bodies do
        local b = bodies[j]
        local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
        local d2 = dx * dx + dy * dy + dz * dz
        local mag = 0.01 / (math.sqrt(d2) * d2)
        a.vx, a.vy, a.vz = a.vx - dx * b.mass * mag, a.vy - dy * b.mass * mag, a.vz - dz * b.mass * mag
        b.vx, b.vy, b.vz = b.vx + dx * a.mass * mag, b.vy + dy * a.mass * mag, b.vz + dz * a.mass * mag
      end
    end
    for i = 1, #bodies do
      local b = bodies[i]
      b.x, b.y, b.z = b.x + 0.01 * b.vx, b.y + 0.01 * b.vy, b.z + 0.01 * b.vz
    end
  end
  return string.format("%.15g %.15g %.15g", bodies[1].x, bodies[2].y, bodies[3].vz)
end

local function sieve(n)
  local composite, count = {}, 0
  for i = 2, n do
    if not composite[i] then
      count = count + 1
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return count
end

local function mandelbrot(n)
  local inside = 0
  for row = 0, n - 1 do
    for column = 0, n - 1 do
      local cr, ci, x, y, i = 2 * column / n - 1.5, 2 * row / n - 1, 0, 0, 0
      while i < 50 and x * x + y * y < 4 do x, y, i = x * x - y * y + cr, 2 * x * y + ci, i + 1 end
      if i == 50 then inside = inside + 1 end
    end
  end
  return inside
end

local function hash(text)
  local h = -2128831035
  for i = 1, #text do
    h = bit.bxor(h, text:byte(i))
    h = bit.tobit(h + bit.lshift(h, 1) + bit.lshift(h, 4) + bit.lshift(h, 7) + bit.lshift(h, 8) + bit.lshift(h, 24))
  end
  return bit.tohex(h)
end

local function strings(n)
  local parts = {}
  for i = 1, n do parts[#parts + 1] = string.format("%d:%s:%.3f", i, ("x"):rep(i % 7), i / 3) end
  local text = table.concat(parts, ";")
  return hash(text) .. " " .. hash(text:gsub("(%d+):(x*)", "%2%1")) .. " " .. select(2, text:gsub("xx", ""))
end

ffi.cdef [[ typedef struct { double re, im; } complex_t; typedef struct { uint64_t s[2]; } random_t; ]]
local function xorshift(n)
  local r = ffi.new("random_t", {{1, 2}})
  local sum = 0ULL
  for _ = 1, n do
    local a, b = r.s[0], r.s[1]
    a = bit.bxor(a, bit.lshift(a, 23))
    r.s[0], r.s[1] = b, bit.bxor(a, b, bit.rshift(a, 17), bit.rshift(b, 26))
    sum = sum + r.s[1]
  end
  return tostring(sum)
end

local function queens(n)
  local count = 0
  local function place(row, columns, left, right)
    if row == n then count = count + 1 return end
    for column = 0, n - 1 do
      local c, l, r = bit.lshift(1, column), bit.lshift(1, row + column), bit.lshift(1, row - column + n)
      if bit.band(columns, c) == 0 and bit.band(left, l) == 0 and bit.band(right, r) == 0 then
        place(row + 1, bit.bor(columns, c), bit.bor(left, l), bit.bor(right, r))
      end
    end
  end
  place(0, 0, 0, 0)
  return count
end

local generate = coroutine.wrap(function() for i = 1, 1e5 do coroutine.yield(i * i % 1000) end end)
local yielded = 0
for _ = 1, 1e5 do yielded = yielded + generate() end

print("nbody", nbody(20000))
print("sieve", sieve(300000))
print("mandelbrot", mandelbrot(160))
print("strings", strings(20000))
print("xorshift", xorshift(1000000))
print("queens", queens(8))
print("coroutine", yielded)
print("math", string.format("%.15g %.15g %.15g %.15g", math.sin(1e3), math.exp(1.5), math.log(7), 2 ^ 0.5), 7 % -3, -7 % 3, 1 / 0, -1 / 0)
local sorted = {}
for i = 1, 20000 do sorted[i] = (i * 7919) % 20011 end
table.sort(sorted, function(a, b) return a > b end)
print("sort", sorted[1], sorted[10000], sorted[20000])
print("error", pcall(function() local t = nil return t.x end))
