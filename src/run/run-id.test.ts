import { expect, it } from 'vitest';
import { checkRunId, isRunId } from './run-id.js';

it('takes a UUID of any version, in any case', () => {
  for (const id of [
    '01987654-3210-7abc-8def-0123456789ab',
    '00000000-0000-0000-0000-000000000000',
    'F47AC10B-58CC-4372-A567-0E02B2C3D479',
  ]) {
    expect(isRunId(id)).toBe(true);
    expect(checkRunId(id)).toBe(id.toLowerCase());
  }
});

it('refuses everything else', () => {
  for (const id of [
    '',
    'x',
    '01987654321007abc8def0123456789ab',
    '01987654-3210-7abc-8def-0123456789ab\n',
    7,
    null,
  ]) {
    expect(isRunId(id)).toBe(false);
    expect(() => checkRunId(id)).toThrow(expect.objectContaining({ code: 'INVALID_RUN_ID' }));
  }
});
