import { expect, test } from 'vitest';
import { markStatements, programsOf } from './page-programs.js';

const pageOf = (...lines: string[]) => lines.join('\n');

test('a program is made of the blocks and the hidden code after its name, on the lines of the page', () => {
  const text = pageOf(
    '# Page',
    '<!-- program: one.ts -->',
    '<!-- ts',
    'const a = 1;',
    '-->',
    '```ts',
    'const b = a;',
    '```',
    '```sh',
    'npm start',
    '```',
    '<!-- program: two.tsx -->',
    '```tsx',
    'const c = <p />;',
    '```',
  );
  const { programs, problems } = programsOf('page.md', text);
  expect(problems).toEqual([]);
  expect(programs).toEqual([
    { page: 'page.md', file: 'one.ts', code: '\n\n\nconst a = 1;\n\n\nconst b = a;', shown: new Set([7]) },
    { page: 'page.md', file: 'two.tsx', code: `${'\n'.repeat(13)}const c = <p />;`, shown: new Set([14]) },
  ]);
});

test('code that would not run is a problem: outside of a program, or a program that shows nothing', () => {
  const text = pageOf('```ts', 'lost();', '```', '<!-- program: empty.ts -->', '<!-- ts', 'hidden();', '-->');
  expect(programsOf('page.md', text).problems).toEqual([
    expect.stringContaining('page.md:1 is code of no program'),
    'page.md: program empty.ts shows nothing.',
  ]);
});

/** Which of the places of a program are reached when it runs. */
function reach(...lines: string[]) {
  const program = programsOf('page.md', pageOf('<!-- program: a.ts -->', '```ts', ...lines, '```'))
    .programs[0]!;
  const { code, places } = markStatements(program, 'ran');
  const reached: string[] = [];
  new Function('ran', code)((place: string) => reached.push(place));
  return { places: [...places], reached, lines: code.split('\n').length };
}

test('what runs is told by its place in the page, and nothing moves to another line', () => {
  expect(reach('const a = 1;', 'const b = a + 1')).toEqual({
    places: ['3:1', '4:1'],
    reached: ['3:1', '4:1'],
    lines: 4,
  });
});

test('a function that is not called is not reached, whatever its form', () => {
  const never = (line: string) => {
    const { places, reached } = reach(line);
    return places.filter((place) => !reached.includes(place));
  };
  expect(never('function f() { return 1; }')).toEqual(['3:16']);
  expect(never('const f = () => 1;')).toEqual(['3:17']);
  expect(never('const f = () => () => ({ a: 1 }); f()')).toEqual(['3:23']);
  expect(never('const o = { f() { return 1 } }')).toEqual(['3:19']);
  expect(never('class C { f() { return 1; } }')).toEqual(['3:17']);
});

test('a branch that is not taken is not reached, with braces and without', () => {
  const { places, reached } = reach(
    'const yes = true',
    'if (yes) yes.toString()',
    'else if (yes) yes.valueOf(); else { yes.toString() }',
    'for (const n of [1, 2]) [n].map((m) => m + n)',
    'if (!yes) [1].map((n) => n)',
  );
  expect(places.filter((place) => !reached.includes(place))).toEqual(['5:6', '5:15', '5:37', '7:11', '7:26']);
});
