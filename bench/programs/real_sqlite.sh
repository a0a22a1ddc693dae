#!/bin/sh
# sqlite3: rows inserted, indexed, joined, grouped, changed and deleted, in a file.
rm -f /tmp/database
sqlite3 /tmp/database <<SQL | cksum | tr ' ' -
PRAGMA journal_mode=delete;
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, region INTEGER);
CREATE TABLE purchase(id INTEGER PRIMARY KEY, customer INTEGER, amount INTEGER, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80 * ${1:-100})
  INSERT INTO customer SELECT i, 'customer ' || hex(i * 7919 % 65537), i * 31 % 17 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000 * ${1:-100})
  INSERT INTO purchase SELECT i, 1 + i * 7919 % (80 * ${1:-100}), i * 48271 % 10007, printf('%08x-%d', i * 2654435761 % 4294967296, i % 91) FROM n;
COMMIT;
CREATE INDEX purchase_customer ON purchase(customer, amount);
CREATE INDEX purchase_note ON purchase(note);
SELECT region, count(*), sum(amount), max(note) FROM purchase JOIN customer ON customer.id = purchase.customer GROUP BY region ORDER BY region;
SELECT count(*), sum(length(note)) FROM purchase WHERE note LIKE '%a7%' OR note GLOB '*-4[0-4]';
UPDATE purchase SET amount = amount * 3 % 10009 WHERE customer % 5 = 2;
DELETE FROM purchase WHERE note < '3';
SELECT customer.name, sum(amount) AS total FROM customer JOIN purchase ON purchase.customer = customer.id GROUP BY customer.id ORDER BY total DESC, name LIMIT 50;
SELECT count(DISTINCT substr(note, 1, 4)), avg(amount) FROM purchase;
PRAGMA integrity_check;
SQL
