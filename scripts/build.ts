import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { ROOT, runCommand } from './run-command.js';

interface Manifest {
  readonly exports: Record<string, string | { types: string; default: string }>;
  readonly bin: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly peerDependencies: Record<string, string>;
}

const DIST = join(ROOT, 'dist');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;

/** Compiles `src` into `dist`, and proves that what would be published can be used. */
async function build(): Promise<string[]> {
  rmSync(DIST, { recursive: true, force: true });
  if ((await runCommand('tsc', ['-p', 'tsconfig.build.json'])) !== 0) return ['tsc failed'];
  copySql();
  for (const file of Object.values(manifest.bin)) {
    if (existsSync(join(ROOT, file))) chmodSync(join(ROOT, file), 0o755);
  }
  return [...missingTargets(), ...undeclaredTypes(), ...(await unloadable()), ...strayFiles()];
}

function copySql(): void {
  cpSync(join(ROOT, 'src/postgres'), join(DIST, 'postgres'), {
    recursive: true,
    filter: (path) => !/\.[^/]*$/.test(path.slice(ROOT.length)) || path.endsWith('.sql'),
  });
}

function missingTargets(): string[] {
  const targets = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'string' ? [entry] : [entry.types, entry.default],
  );
  return [...targets, ...Object.values(manifest.bin)]
    .filter((target) => !existsSync(join(ROOT, target)))
    .map((target) => `package.json promises ${target}, which is not there`);
}

/** Declarations may only lean on packages that whoever installs this one gets too. */
function undeclaredTypes(): string[] {
  const given = { ...manifest.dependencies, ...manifest.peerDependencies };
  const problems = new Set<string>();
  for (const file of filesOf(DIST).filter((name) => name.endsWith('.d.ts'))) {
    const text = readFileSync(join(DIST, file), 'utf8');
    for (const [, specifier] of text.matchAll(/(?:from|import\() ?['"]([^'"]+)['"]/g)) {
      const name = specifier!.match(/^(@[^/]+\/)?[^/]+/)![0];
      if (specifier!.startsWith('.') || specifier!.startsWith('node:') || builtinModules.includes(name))
        continue;
      const types = `@types/${name.replace('@', '').replace('/', '__')}`;
      if (!(name in given)) problems.add(`dist/${file} needs ${name}, which is no dependency`);
      else if (
        existsSync(join(ROOT, 'node_modules', types)) &&
        !(types in given) &&
        !(name in manifest.peerDependencies)
      ) {
        problems.add(`dist/${file} needs the types of ${name}: make ${types} a dependency or keep them out`);
      }
    }
  }
  return [...problems];
}

/** Loads each entry in plain Node, by its public name. */
async function unloadable(): Promise<string[]> {
  const problems: string[] = [];
  for (const [subpath, entry] of Object.entries(manifest.exports)) {
    if (typeof entry === 'string' || !existsSync(join(ROOT, entry.default))) continue;
    const name = join('pgflow-live', subpath);
    const code = `await import(${JSON.stringify(name)})`;
    if ((await runCommand(process.execPath, ['--input-type=module', '--eval', code])) !== 0) {
      problems.push(`${name} does not load`);
    }
  }
  return problems;
}

function strayFiles(): string[] {
  const packed = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' }),
  ) as [{ size: number; files: { path: string }[] }];
  const [{ size, files }] = packed;
  console.log(`${files.length} files to publish, ${Math.round(size / 1000)} kB packed`);
  return files
    .map(({ path }) => path)
    .filter(
      (path) =>
        !/^(dist|docs)\/|^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(path) ||
        /\.test[.-]/.test(path),
    )
    .map((path) => `${path} would be published`);
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' });
}

const problems = await build();
for (const problem of problems) console.error(`error: ${problem}`);
if (problems.length > 0) process.exitCode = 1;
