import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export const SCRATCH_PREFIX = 'pgflow-postgres-';

/** Marks a scratch folder as ours, so that a later run can tell whether its owner is still there. */
export function claimScratch(folder: string): void {
  writeFileSync(join(folder, 'owner'), `${process.pid} ${processNamespace()}\n`);
}

/**
 * Stops the servers and removes the folders that earlier runs left behind: a test run that is
 * killed with SIGKILL cannot stop its server. Folders whose owner lives are not touched, nor
 * those of another machine or container that shares the temporary folder.
 */
export async function removeLeftovers(parent: string): Promise<void> {
  for (const entry of readdirSync(parent)) {
    if (!entry.startsWith(SCRATCH_PREFIX)) continue;
    const folder = join(parent, entry);
    const [pid, namespace] = (readOr(join(folder, 'owner'), '') ?? '').trim().split(' ');
    if (!pid || namespace !== processNamespace() || isAlive(Number(pid))) continue;
    await stopServer(join(folder, 'data'));
    rmSync(folder, { recursive: true, force: true });
  }
}

async function stopServer(data: string): Promise<void> {
  const pid = Number(readOr(join(data, 'postmaster.pid'), '').split('\n')[0]);
  if (!(pid > 0) || !commandOf(pid).includes(data)) return;
  for (const signal of ['SIGQUIT', 'SIGKILL'] as const) {
    process.kill(pid, signal);
    for (let waited = 0; waited < 5000 && isAlive(pid); waited += 20) await delay(20);
    if (!isAlive(pid)) return;
  }
}

function processNamespace(): string {
  try {
    return `${hostname()}/${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

function commandOf(pid: number): string {
  try {
    return process.platform === 'linux'
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      : execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}
