#!/usr/bin/node
// node.js: strings, regular expressions, JSON, maps and sorting: the collector and V8's run-time system.
'use strict';
const percent = Number(process.argv[2] || 100);
let sum = 0;
const mix = (value) => { sum = Math.imul(sum, 31) + value | 0; };

let seed = 7;
const random = () => { return seed = seed * 48271 % 2147483647; };

for (let round = 0; round < Math.max(1, percent / 5); ++round) {
  const records = [];
  for (let i = 0; i < 4000; ++i)
    records.push({id: i, name: `item ${random().toString(36)}`, tags: [`t${i % 7}`, random() % 100], nested: {deep: {value: random() / 3}}});
  const text = JSON.stringify(records);
  for (const record of JSON.parse(text)) mix(record.name.length + record.tags[1] + Math.floor(record.nested.deep.value));
  const counts = new Map();
  for (const [, word] of text.matchAll(/item ([0-9a-z]{3})/g)) counts.set(word, (counts.get(word) || 0) + 1);
  for (const [word, count] of [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 500))
    mix(count * word.charCodeAt(1));
  let built = '';
  for (const record of records) built += record.name.split('').reverse().join('') + ';';
  mix(built.replace(/[aeiou](\d)/g, '$1$1').length);
  for (let i = 0; i < built.length; i += 3) mix(built.charCodeAt(i));
}
console.log(sum);
