import { expect, test } from 'vitest';
import { withFigures, withMemory } from './results-file.js';

test('each part stays as it was last measured when the other is measured again', () => {
  const first = withFigures('', '# Benchmark\n\nlinear 1');
  expect(first).toContain('linear 1');
  const second = withMemory(first, 'heap 17 MB');
  expect(second).toContain('linear 1');
  expect(second).not.toContain('writes this section');
  const third = withFigures(second, '# Benchmark\n\nlinear 2');
  expect(third).toContain('linear 2');
  expect(third).not.toContain('linear 1');
  expect(third).toContain('heap 17 MB');
  expect(withMemory(withFigures(third, '# Benchmark\n\nlinear 1'), 'heap 17 MB')).toBe(second);
});

test('memory may be measured first', () => {
  expect(withMemory('', 'heap 17 MB')).toMatch(/^# Benchmark\n\n## Memory\n[\s\S]*heap 17 MB/);
});
