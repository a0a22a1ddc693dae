-- Tables, indexes, joins, aggregates, window functions, recursion, text and floating point.
PRAGMA page_size = 4096;
CREATE TABLE item (id INTEGER PRIMARY KEY, kind INTEGER, weight REAL, name TEXT);
BEGIN;
WITH RECURSIVE n(i, x) AS (SELECT 1, 42 UNION ALL SELECT i + 1, (x * 1103515245 + 12345) & 2147483647 FROM n WHERE i < 20000)
  INSERT INTO item SELECT i, x % 97, x / 7919.0, printf('name-%05d-%x', i, x) FROM n;
COMMIT;
CREATE INDEX by_kind ON item (kind, weight);
CREATE TABLE kind AS SELECT DISTINCT kind AS id, 'kind ' || kind AS title FROM item ORDER BY kind;
SELECT count(*), sum(kind), round(avg(weight), 6), min(name), max(name) FROM item;
SELECT k.title, count(*), round(sum(i.weight), 3) FROM item i JOIN kind k ON k.id = i.kind GROUP BY k.id HAVING count(*) > 215 ORDER BY 2 DESC, 1;
SELECT id, rank() OVER (PARTITION BY kind ORDER BY weight DESC) AS r, round(lag(weight) OVER (PARTITION BY kind ORDER BY weight), 4) FROM item WHERE kind = 13 ORDER BY r LIMIT 10;
SELECT name FROM item WHERE name LIKE '%-00_7_-%' AND name GLOB '*[a-f]' ORDER BY length(name), name LIMIT 10;
UPDATE item SET weight = weight * 1.0000001 WHERE kind % 3 = 0;
DELETE FROM item WHERE id % 7 = 0;
SELECT count(*), printf('%.10f', sum(weight)), total(weight) FROM item;
WITH RECURSIVE fib(a, b, n) AS (SELECT 0, 1, 1 UNION ALL SELECT b, a + b, n + 1 FROM fib WHERE n < 60) SELECT max(a) FROM fib;
WITH RECURSIVE
  xaxis(x) AS (VALUES(-2.0) UNION ALL SELECT x + 0.05 FROM xaxis WHERE x < 1.2),
  yaxis(y) AS (VALUES(-1.0) UNION ALL SELECT y + 0.1 FROM yaxis WHERE y < 1.0),
  m(iter, cx, cy, x, y) AS (
    SELECT 0, x, y, 0.0, 0.0 FROM xaxis, yaxis
    UNION ALL SELECT iter + 1, cx, cy, x * x - y * y + cx, 2.0 * x * y + cy FROM m WHERE (x * x + y * y) < 4.0 AND iter < 28),
  m2(iter, cx, cy) AS (SELECT max(iter), cx, cy FROM m GROUP BY cx, cy),
  a(t) AS (SELECT group_concat(substr(' .+*#', 1 + min(iter / 7, 4), 1), '') FROM m2 GROUP BY cy)
SELECT group_concat(rtrim(t), x'0a') FROM a;
SELECT json_group_array(json_object('k', kind, 'n', n)) FROM (SELECT kind, count(*) AS n FROM item GROUP BY kind ORDER BY n DESC, kind LIMIT 5);
SELECT quote(zeroblob(4)), hex('text'), typeof(1 / 2), 1 / 2.0, 9007199254740993, 1e308 * 10, round(2.5), cast('12abc' AS INTEGER), upper('mixed'), strftime('%s', '2009-02-13 23:31:30');
VACUUM;
PRAGMA integrity_check;
