import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program that tests need: where it is, or why it cannot be had. */
export type Program = { readonly path: string; readonly missing?: undefined } | { readonly missing: string };

/** Two test processes that install at once wait for each other. */
const LOCK = join(tmpdir(), 'pgflow-apt.lock');
const PATIENCE = 240_000;

/** Where a program is, in the first of these places; null when it is nowhere. */
export function findProgram(places: readonly string[]): string | null {
  return places.find((place) => existsSync(place)) ?? null;
}

/** Where it is, after installing its package where we may: as root on Debian or Ubuntu. */
export function ensureProgram(name: string, places: readonly string[], install = aptInstall): Program {
  const found = findProgram(places);
  if (found) return { path: found };
  const problem = install(name);
  const installed = findProgram(places);
  if (installed) return { path: installed };
  return {
    missing: `There is no ${name} here, and ${problem ?? 'apt-get put it in none of the usual places'}.`,
  };
}

/** What went wrong, if anything did. */
function aptInstall(name: string): string | null {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    return `only root on Debian or Ubuntu can have it installed: apt-get install ${name}`;
  }
  console.log(`Installing ${name} for its tests (apt-get install ${name}) …`);
  const failed = apt('install', '-y', '--no-install-recommends', name);
  if (failed === null) return null;
  return apt('update') ?? apt('install', '-y', '--no-install-recommends', name);
}

function apt(...args: string[]): string | null {
  // In runlevel 1 no package starts its service.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const options = ['-o', 'Acquire::Retries=0', '-o', 'Acquire::http::Timeout=20'];
  const { status, error, stderr } = spawnSync('flock', [LOCK, 'apt-get', ...options, ...args], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: PATIENCE,
  });
  if (status === 0) return null;
  return `apt-get ${args.join(' ')} failed: ${error?.message ?? stderr.trim().split('\n').at(-1)}`;
}
