import { expect, test } from 'vitest';
import { lintFile } from './lint-source.js';

const messages = (file: string, text: string) => lintFile(file, text).map(({ message }) => message);

test.each([
  'test.skip("a", () => {})',
  'it.only("a", () => {})',
  'describe.todo("a")',
  'test.concurrent.skip("a", () => {})',
  'describe.skip.each([1])("a", () => {})',
  'test.each([1]).only("a", () => {})',
  'test.skipIf(true)("a", () => {})',
  'test.fails("a", () => {})',
])('refuses %s', (text) => {
  expect(messages('test/e2e/a.test.ts', text)).toEqual([expect.stringContaining('leaves tests out')]);
});

test('takes a skip with a reason, and the same words elsewhere', () => {
  expect(
    messages('test/e2e/a.test.ts', 'test("a", (ctx) => { ctx.skip(isMac, "no /proc"); cursor.skip(3) })'),
  ).toEqual([]);
  expect(messages('src/a.ts', 'test.skip()')).toEqual([]);
});

test('refuses sleeping in tests', () => {
  expect(
    messages('src/a.test.ts', "import { setTimeout as sleep } from 'node:timers/promises';"),
  ).toHaveLength(1);
  expect(messages('src/a.test.ts', 'await new Promise((r) => setTimeout(r, 50));')).toHaveLength(1);
  expect(
    messages('src/a.test.ts', '// Timer: a handler that is slow on purpose.\nsetTimeout(done, 50);'),
  ).toEqual([]);
  expect(messages('src/a.ts', 'setTimeout(retry, 50);')).toEqual([]);
  expect(messages('src/slow-bus.test-support.ts', 'setTimeout(deliver, delay);')).toEqual([]);
});

test.each([
  "db.query('select 1 from runs')",
  `db.query(\`select \${schema}.claim_tasks($1)\`)`,
  `db.query(\`\n  insert into \${table} values ($1)\`)`,
  "db.query('update pgflow.runs set seq = 1')",
  "db.query('delete from runs')",
  'db.query(\'listen "pgflow"\')',
])('refuses %s outside src/postgres', (text) => {
  expect(messages('src/live/a.ts', text)).toEqual([expect.stringContaining('SQL outside')]);
  expect(messages('src/postgres/a.ts', text)).toEqual([]);
});

test('takes sentences that begin like SQL', () => {
  expect(messages('src/live/a.ts', "fail('Update your flow. Delete the step, or select another.')")).toEqual(
    [],
  );
});

test.each([
  'src/util/a.ts',
  'src/flow/helpers.ts',
  'test/common/a.ts',
  'src/live/run-manager.ts',
  'src/run/types.ts',
])('refuses the name %s', (file) => {
  expect(messages(file, '')).toHaveLength(1);
});

test('refuses SQL files outside src/postgres, and warns of long files', () => {
  expect(lintFile('src/live/a.sql', '')).toMatchObject([{ severity: 'error' }]);
  expect(lintFile('src/postgres/functions/a.sql', '')).toEqual([]);
  expect(lintFile('src/live/a.ts', '\n'.repeat(300))).toMatchObject([{ severity: 'warning' }]);
});
