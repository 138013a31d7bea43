import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';
import { afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { markStatements, type PageProgram, programsOf } from '../../scripts/page-programs.js';
import { ROOT } from '../../scripts/run-command.js';

const PAGES = ['README.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)].filter((page) =>
  page.endsWith('.md'),
);
const read = PAGES.map((page) => programsOf(page, readFileSync(join(ROOT, page), 'utf8')));
const programs = read.flatMap((page) => page.programs);
const here = programs.filter(({ file }) => file.endsWith('.ts'));

/** An embedded database takes long to begin where others are at work. */
const PATIENCE = 120_000;

const FOLDER = join(ROOT, '.tmp/docs');
/** Imports of `pgflow-live` lead to the source. */
const TSCONFIG = join(FOLDER, 'tsconfig.json');
const fileOf = ({ page, file }: PageProgram) => join(FOLDER, basename(page, '.md'), file);
const markedFileOf = (program: PageProgram) => fileOf(program).replace(/\.ts$/, '.marked.ts');

beforeAll(() => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(TSCONFIG, JSON.stringify({ extends: '../../tsconfig.json', include: ['.'] }));
  for (const program of programs) {
    mkdirSync(dirname(fileOf(program)), { recursive: true });
    writeFileSync(fileOf(program), program.code);
  }
});

test('every piece of TypeScript in the pages belongs to a program', () => {
  expect(read.flatMap(({ problems }) => problems)).toEqual([]);
  expect(here.map(({ page }) => page)).toEqual(expect.arrayContaining(['README.md', 'docs/live-client.md']));
  // test/browser/docs.test.ts runs it.
  expect(programs.filter(({ file }) => file.endsWith('.tsx')).map(({ file }) => file)).toEqual(['order.tsx']);
});

describe('docs/architecture.md', () => {
  const text = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');

  test('names files that are there', () => {
    const paths = [...text.matchAll(/`((?:src|test|bench|scripts)\/[\w./-]+)`/g)].map(([, path]) => path!);
    expect(paths.length).toBeGreaterThan(20);
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test('names tests that are there', () => {
    const named = [...text.matchAll(/\]\(\.\.\/([\w/.-]+\.test\.ts)\): ((?:`[\w-]+`(?:, )?)+)/g)];
    expect(named.length).toBeGreaterThan(5);
    const missing = named.flatMap(([, file, names]) => {
      const tests = readFileSync(join(ROOT, file!), 'utf8');
      return [...names!.matchAll(/`(.*?)`/g)].flatMap(([, name]) =>
        tests.includes(`${name}:`) ? [] : [`${file}: ${name}`],
      );
    });
    expect(missing).toEqual([]);
  });

  test('lists every function and every table of the schema, and no other', () => {
    const listed = (heading: string) =>
      [...sectionOf(text, heading).matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name!).sort();
    const files = readdirSync(join(ROOT, 'src/postgres/functions')).map((name) => basename(name, '.sql'));
    const migrations = readdirSync(join(ROOT, 'src/postgres/migrations'))
      .map((name) => readFileSync(join(ROOT, 'src/postgres/migrations', name), 'utf8'))
      .join('\n');
    const tables = [...migrations.matchAll(/^create table pgflow\.(\w+)/gm)].map(([, name]) => name!);
    expect(listed('SQL functions')).toEqual(files.sort());
    expect(listed('Tables')).toEqual(['migrations', ...tables].sort());
  });

  test('draws the modes that the classes have', () => {
    const drawings = [...text.matchAll(/^### (.*)\n(?:(?!^#)[\s\S])*?```mermaid\n([\s\S]*?)```/gm)];
    expect(drawings.length).toBeGreaterThan(5);
    for (const [, heading, drawing] of drawings) {
      const code = [...heading!.matchAll(/\]\(\.\.\/(.*?)\)/g)].map(([, path]) =>
        readFileSync(join(ROOT, path!), 'utf8'),
      );
      const drawn = [...drawing!.matchAll(/^ {2}(\w+) --> (\w+)|^ {2}\[\*\] --> (\w+)/gm)].flatMap((match) =>
        match.slice(1),
      );
      const unknown = drawn.filter((mode) => mode && !code.join('\n').includes(`'${mode}'`));
      expect({ heading, unknown }).toEqual({ heading, unknown: [] });
    }
  });
});

function sectionOf(text: string, heading: string): string {
  return text.split(/^## /m).find((section) => section.startsWith(`${heading}\n`)) ?? '';
}

test(
  'the programs in the pages compile',
  () => {
    const { options } = ts.getParsedCommandLineOfConfigFile(
      join(ROOT, 'tsconfig.json'),
      { noUnusedLocals: false },
      {
        ...ts.sys,
        onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
          throw new Error(String(diagnostic.messageText));
        },
      },
    )!;
    const compiled = ts.createProgram(programs.map(fileOf), options);
    const errors = programs.flatMap((program) =>
      ts
        .getPreEmitDiagnostics(compiled, compiled.getSourceFile(fileOf(program)))
        .map(({ file, start, messageText }) => {
          const line = file!.getLineAndCharacterOfPosition(start!).line + 1;
          return `${program.page}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
        }),
    );
    expect(errors).toEqual([]);
  },
  PATIENCE,
);

describe('runs and does what its page says', () => {
  // The quick start keeps its data where it is started.
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'pgflow-docs-'));
    process.chdir(directory);
  });
  afterEach(() => {
    process.chdir(ROOT);
    rmSync(directory, { recursive: true });
  });

  test.each(here.map((program) => [`${program.page}: ${program.file}`, program] as const))(
    '%s',
    async (_, program) => {
      expect.hasAssertions();
      const log = vi.spyOn(console, 'log').mockImplementation(() => {});
      onTestFinished(() => log.mockRestore());
      const ran = new Set<string>();
      Object.assign(globalThis, { ranInPage: (place: string) => ran.add(place) });
      const marked = markStatements(program, 'globalThis.ranInPage');
      writeFileSync(markedFileOf(program), marked.code);

      await import(markedFileOf(program));

      const left = [...marked.places].filter((place) => !ran.has(place));
      expect(left.map((place) => `${program.page}:${place} was never reached`)).toEqual([]);
    },
    PATIENCE,
  );
});
