#!/usr/bin/node
// node.js: tasks of several classes that a scheduler runs, packets that they hand on: calls through many shapes.
'use strict';
const rounds = 9 * Number(process.argv[2] || 100);
let sum = 0;
const mix = (value) => { sum = Math.imul(sum, 31) + value | 0; };

class Packet {
  constructor(kind, value) { this.kind = kind, this.value = value, this.next = null; }
}

class Task {
  constructor(scheduler, id, priority) {
    this.scheduler = scheduler, this.id = id, this.priority = priority;
    this.head = null, this.tail = null, this.handled = 0;
    scheduler.add(this);
  }
  receive(packet) {
    packet.next = null;
    if (this.tail) this.tail.next = packet; else this.head = packet;
    this.tail = packet;
  }
  take() {
    const packet = this.head;
    this.head = packet.next;
    if (!this.head) this.tail = null;
    ++this.handled;
    return packet;
  }
  get ready() { return this.head !== null; }
}

class Worker extends Task {
  run() {
    const packet = this.take();
    packet.value = Math.imul(packet.value ^ this.id, 2654435761) >>> 3;
    this.scheduler.send(packet.value % this.scheduler.tasks.length, packet);
  }
}

class Device extends Task {
  run() {
    const packet = this.take();
    packet.kind = (packet.kind + this.id) % 5;
    mix(packet.value & 255);
    this.scheduler.send((packet.kind * 3 + this.handled) % this.scheduler.tasks.length, packet);
  }
}

class Idle extends Task {
  get ready() { return true; }
  run() {
    ++this.handled;
    if (this.head) {
      const packet = this.take();
      this.scheduler.send((packet.value + this.handled) % (this.scheduler.tasks.length - 1) + 1, packet);
    }
  }
}

class Scheduler {
  constructor() { this.tasks = [], this.order = []; }
  add(task) {
    this.tasks.push(task);
    this.order = [...this.tasks].sort((a, b) => b.priority - a.priority || a.id - b.id);
  }
  send(id, packet) { this.tasks[id].receive(packet); }
  step() {
    for (const task of this.order) {
      if (task.ready) return task.run();
    }
  }
}

for (let round = 0; round < rounds; ++round) {
  const scheduler = new Scheduler();
  new Idle(scheduler, 0, 0);
  for (let id = 1; id < 7; ++id) id % 2 ? new Worker(scheduler, id, id * 10 % 7) : new Device(scheduler, id, id * 10 % 7);
  for (let i = 0; i < 12; ++i) scheduler.send(i % 7, new Packet(i % 5, i * 7919 + round));
  for (let i = 0; i < 8000; ++i) scheduler.step();
  for (const task of scheduler.tasks) mix(task.handled);
}
console.log(sum);
