import { describe, expect, it } from 'vitest';
import { sameText } from './same-text.js';

describe('sameText', () => {
  it('gives back an equal text, also of more than it remembers', () => {
    for (let n = 0; n < 6_000; n++) {
      expect(sameText(`step_${n}`)).toBe(`step_${n}`);
      expect(sameText(`step_${n}`)).toBe(`step_${n}`);
    }
  });
});
