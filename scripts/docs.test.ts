import { join } from 'node:path';
import { expect, test } from 'vitest';
import { problemsOf } from './docs.js';
import { ROOT } from './run-command.js';

const page = join(ROOT, 'docs/page.md');

test('takes links that lead somewhere, and leaves other sites and code alone', () => {
  const text = [
    '# The first heading: `code`, and more!',
    '[a](../package.json) [b](#the-first-heading-code-and-more) [c](https://example.com/x) [d](mailto:a@b.c)',
    '`[e](nowhere)`',
    '```md\n[f](nowhere)\n```',
  ].join('\n');
  expect(problemsOf(page, text)).toEqual([]);
});

test('finds links to missing files and headings', () => {
  expect(problemsOf(page, '[a](nowhere.md)')).toEqual([
    expect.stringContaining('nowhere.md, which is not there'),
  ]);
  expect(problemsOf(page, '# One\n[a](#two)')).toEqual([expect.stringContaining('no such heading')]);
});

test('finds TypeScript that does not parse', () => {
  expect(
    problemsOf(
      page,
      '```ts\nconst a = await run();\n```\n```tsx\nconst b = <p>{a}</p>;\n```\n```sh\nif (\n```',
    ),
  ).toEqual([]);
  expect(problemsOf(page, '```ts\nconst a = ;\n```')).toEqual([expect.stringContaining('In: const a = ;')]);
});
