/**
 * Proves the checkers: breaks the code on purpose, one thing at a time, in a copy of the repository, and expects the
 * audit of a storm, or a model, to go red for the right reason. First the same storm without a fault of ours: green.
 *
 * `npm run test:chaos:mutants`, or with a part of a name for some: `npm run test:chaos:mutants -- fence`.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { MUTATIONS, type Mutation } from './mutations.js';

const ROOT = resolve(import.meta.dirname, '../..');
const NOT_COPIED = /^(node_modules|\.git|\.tmp|\.pgflow|dist|coverage)$/;
/** Of a storm: short rounds, as the first violation ends it. */
const STORM = {
  CHAOS_MINUTES: '3',
  CHAOS_ROUND: '12',
  CHAOS_PATIENCE: '45',
  CHAOS_SEED: '1',
  CHAOS_BUS: 'postgres',
};
/** Seconds that one mutant may take. */
const BUDGET = 600;

interface Verdict {
  readonly name: string;
  readonly expected: 'green' | 'red';
  readonly got: string;
  readonly isRight: boolean;
  readonly seconds: number;
  readonly said: string;
}

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  const mutations = MUTATIONS.filter(
    ({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)),
  );
  const verdicts = [await judge(null)];
  report(verdicts.at(-1)!);
  for (const mutation of mutations) {
    verdicts.push(await judge(mutation));
    report(verdicts.at(-1)!);
  }
  const wrong = verdicts.filter(({ isRight }) => !isRight);
  console.log(`\n${verdicts.length - wrong.length} as expected, ${wrong.length} not`);
  process.exitCode = wrong.length > 0 || mutations.length === 0 ? 1 : 0;
}

function report({ name, expected, got, isRight, seconds, said }: Verdict): void {
  const mark = isRight ? 'ok ' : 'NOT';
  console.log(
    `${mark} ${name.padEnd(36)} ${got}${isRight ? '' : ` instead of ${expected}`}, ${seconds} s   ${said}`,
  );
}

/** Of the code as it is: that it stays green where the mutants go red. */
async function judge(mutation: Mutation | null): Promise<Verdict> {
  const copy = copyTree();
  const began = Date.now();
  try {
    for (const edit of mutation?.edits ?? []) apply(copy, edit);
    const { code, output } = await run(copy, mutation);
    const said = mutation ? output.match(new RegExp(`.*?(${mutation.red.source}.*)`))?.[1] : undefined;
    const got = code === 0 ? 'green' : code === null ? 'no end' : 'red';
    const expected = mutation ? 'red' : 'green';
    const isRight = got === expected && (mutation === null || said !== undefined);
    if (!isRight) console.log(output);
    const seconds = Math.round((Date.now() - began) / 1000);
    const name = mutation?.name ?? '(nothing)';
    return { name, expected, got, isRight, seconds, said: said?.slice(0, 140) ?? '' };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), 'pgflow-mutant-'));
  cpSync(ROOT, copy, {
    recursive: true,
    filter: (source) => !NOT_COPIED.test(relative(ROOT, source)),
  });
  symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(copy, 'node_modules'));
  return copy;
}

function apply(copy: string, { file, find, replace }: Mutation['edits'][number]): void {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  const count = text.split(find).length - 1;
  if (count !== 1) throw new Error(`${file} has this ${count} times instead of once:\n${find}`);
  writeFileSync(
    path,
    text.replace(find, () => replace),
  );
}

function run(copy: string, mutation: Mutation | null): Promise<{ code: number | null; output: string }> {
  const unit = mutation && 'unit' in mutation.proof ? mutation.proof.unit : null;
  const faults = mutation && 'storm' in mutation.proof ? mutation.proof.storm : [];
  const args = unit ? ['--project', 'unit', unit] : ['--project', 'chaos', 'test/chaos/storm.test.ts'];
  const control = mutation ? {} : { CHAOS_MINUTES: '0.2' };
  const child = spawn(join(copy, 'node_modules/.bin/vitest'), ['run', '--no-color', ...args], {
    cwd: copy,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...STORM, ...control, CHAOS_FAULTS: faults.join(',') },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      output += bytes;
    });
  }
  const end = (signal: NodeJS.Signals) => child.pid && process.kill(-child.pid, signal);
  const limit = setTimeout(() => end('SIGKILL'), BUDGET * 1000);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(limit);
      resolve({ code, output });
    });
  });
}

await main();
