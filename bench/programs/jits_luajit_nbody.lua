#!/usr/bin/luajit
-- LuaJIT: the planets' motion, in doubles.
local n = 36000 * tonumber(arg[1] or 100)
local bodies = {}
for i = 1, 5 do
  bodies[i] = {x = i * 1.7, y = i % 3 - 0.3 * i, z = 0.1 * i, vx = 0.2 / i, vy = 0.5 - 0.1 * i, vz = 0.01 * i, mass = 40 / i ^ 4}
end
for _ = 1, n do
  for i = 1, 5 do
    local a = bodies[i]
    for j = i + 1, 5 do
      local b = bodies[j]
      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
      local square = dx * dx + dy * dy + dz * dz + 0.01
      local force = 0.001 / (square * math.sqrt(square))
      a.vx, a.vy, a.vz = a.vx - dx * b.mass * force, a.vy - dy * b.mass * force, a.vz - dz * b.mass * force
      b.vx, b.vy, b.vz = b.vx + dx * a.mass * force, b.vy + dy * a.mass * force, b.vz + dz * a.mass * force
    end
  end
  for i = 1, 5 do
    local a = bodies[i]
    a.x, a.y, a.z = a.x + 0.001 * a.vx, a.y + 0.001 * a.vy, a.z + 0.001 * a.vz
  end
end
print(string.format("%.17g:%.17g:%.17g", bodies[1].x, bodies[2].y, bodies[5].vz))
