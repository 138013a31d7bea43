/** The mutants are run on their own (`npm run test:chaos:mutants`); that they still fit the code is seen here. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { MUTATIONS } from './mutations.js';
import { STORM_FAULTS } from './storm-faults.js';

test.each(MUTATIONS)('the mutant "$name" finds what it breaks', ({ edits, proof }) => {
  for (const { file, find } of edits) {
    expect(readFileSync(file, 'utf8').split(find).length - 1, `how often ${file} has:\n${find}\n`).toBe(1);
  }
  const faults = 'storm' in proof ? proof.storm : [];
  for (const start of faults)
    expect(STORM_FAULTS.map(({ name }) => name)).toContainEqual(expect.stringMatching(`^${start}`));
});
