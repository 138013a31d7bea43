import { describe, expect, test } from 'vitest';
import { PreparedStatements } from './prepared.js';

const failure = (code: string, message = '') => Object.assign(new Error(message), { code });

describe('prepared statements', () => {
  test('have a name of their own for each text, short enough for PostgreSQL', () => {
    const prepared = new PreparedStatements();
    const name = prepared.nameOf('select 1');
    expect(name).toMatch(/^pgflow_statement_[0-9a-f]+$/);
    expect(name!.length).toBeLessThan(64);
    expect(prepared.nameOf('select 1')).toBe(name);
    expect(prepared.nameOf('select 2')).not.toBe(name);
    expect(new PreparedStatements().nameOf('select 1')).toBe(name);
  });

  test('are named after the function that they call', () => {
    const name = new PreparedStatements().nameOf(`select * from "pgflow".${'settle_tasks'.repeat(9)}($1)`);
    expect(name).toMatch(/^pgflow_settle_tasks/);
    expect(name!.length).toBeLessThan(64);
  });

  test.each([
    ['unknown in this session', failure('26000')],
    ['there already', failure('42P05')],
    ['of another release', failure('0A000', 'cached plan must not change result type')],
  ])('are given up for good when one is %s', (_, error) => {
    const prepared = new PreparedStatements();
    expect(prepared.heed(error)).toBe(true);
    expect(prepared.nameOf('select 1')).toBeUndefined();
    // A statement that was under way with its name at that time.
    expect(prepared.heed(error)).toBe(true);
  });

  test.each([failure('40001'), failure('0A000', 'something else'), new Error('lost')])(
    'are not to blame for %s',
    (error) => {
      const prepared = new PreparedStatements();
      expect(prepared.heed(error)).toBe(false);
      expect(prepared.nameOf('select 1')).toBeDefined();
    },
  );
});
