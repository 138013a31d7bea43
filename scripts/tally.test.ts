import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { outcomeOf, report, type Tally } from './tally.js';

const passing: Tally = { passed: 3, failed: [], skipped: [], finished: true };

test('adds up all parts in one last line', () => {
  const { lines, ok } = report([
    { part: 'check', passed: 0, failed: [], skipped: [] },
    outcomeOf('unit', passing, 0),
    outcomeOf('chaos', { ...passing, skipped: [{ name: 'a', reason: 'no /proc' }] }, 0),
  ]);
  expect(lines.at(-1)).toBe('6 passed, 0 failed, 1 skipped');
  expect(lines.join('\n')).toContain('chaos: a\n    no /proc');
  expect(ok).toBe(true);
});

test('without skips the last line says nothing of them', () => {
  expect(report([outcomeOf('unit', passing, 0)]).lines.at(-1)).toBe('3 passed, 0 failed');
});

test.each<[string, Tally | null, number | null, string]>([
  ['a failed test', { ...passing, failed: ['a > b'] }, 1, 'a > b'],
  ['a part that never began', null, 1, 'did not run'],
  ['a part that was killed', { ...passing, finished: false }, null, 'crashed'],
  ['a part without tests', { ...passing, passed: 0 }, 0, 'ran no test'],
  ['an exit code that nobody explains', passing, 1, 'exit code 1'],
])('%s is one failure', (_, tally, exitCode, text) => {
  const { lines, ok } = report([outcomeOf('unit', tally, exitCode)]);
  expect(lines).toContainEqual(expect.stringMatching(`unit: .*${text}`));
  expect(lines.at(-1)).toMatch(/^\d+ passed, 1 failed$/);
  expect(ok).toBe(false);
});

test('counts what vitest ran, and fails a skip without a reason', () => {
  const { tally, exitCode } = runFixtures();
  expect(tally).toEqual({
    passed: 1,
    failed: [
      expect.stringMatching(/broken\.case\.ts: .*cannot even load/),
      expect.stringMatching(/outcomes\.case\.ts > hooked: .*hook failed/),
      'outcomes.case.ts > fails',
      expect.stringMatching(/^outcomes\.case\.ts > silent .*without a reason/),
      expect.stringMatching(/^outcomes\.case\.ts > to do .*without a reason/),
      'outcomes.case.ts > hooked > never runs (not run)',
    ],
    skipped: [{ name: 'outcomes.case.ts > skipped', reason: 'because it may' }],
    finished: true,
  });
  expect(exitCode).toBe(1);
});

test('a crash keeps the count and says that it is not all', () => {
  const { tally, exitCode } = runFixtures('crash');
  expect(tally).toMatchObject({ passed: 1, finished: false });
  expect(outcomeOf('unit', tally, exitCode).failed).toEqual([expect.stringContaining('crashed')]);
});

function runFixtures(mode = ''): { tally: Tally | null; exitCode: number | null } {
  const folder = mkdtempSync(join(tmpdir(), 'pgflow-tally-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'tally.json');
  const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', '--config', 'vitest.config.ts'], {
    cwd: join(import.meta.dirname, 'fixtures/tally'),
    env: { ...process.env, PGFLOW_TALLY: file, TALLY_FIXTURE: mode },
  });
  return { tally: JSON.parse(readFileSync(file, 'utf8')), exitCode: status };
}
