#!/usr/bin/node
// node.js: the planets' motion, in doubles.
'use strict';
const n = 40000 * Number(process.argv[2] || 100);

class Body {
  constructor(i) {
    [this.x, this.y, this.z] = [i * 1.7, i % 3 - 0.3 * i, 0.1 * i];
    [this.vx, this.vy, this.vz] = [0.2 / i, 0.5 - 0.1 * i, 0.01 * i];
    this.mass = 40 / (i * i * i * i);
  }
}

function advance(bodies, dt) {
  for (let i = 0; i < bodies.length; ++i) {
    const a = bodies[i];
    for (let j = i + 1; j < bodies.length; ++j) {
      const b = bodies[j];
      const dx = a.x - b.x, dy = a.y - b.y, dz = a.z - b.z;
      const square = dx * dx + dy * dy + dz * dz + 0.01;
      const force = dt / (square * Math.sqrt(square));
      a.vx -= dx * b.mass * force, a.vy -= dy * b.mass * force, a.vz -= dz * b.mass * force;
      b.vx += dx * a.mass * force, b.vy += dy * a.mass * force, b.vz += dz * a.mass * force;
    }
  }
  for (const a of bodies) a.x += dt * a.vx, a.y += dt * a.vy, a.z += dt * a.vz;
}

const bodies = [1, 2, 3, 4, 5].map((i) => new Body(i));
for (let i = 0; i < n; ++i) advance(bodies, 0.001);
console.log(`${bodies[0].x}:${bodies[1].y}:${bodies[4].vz}`);
