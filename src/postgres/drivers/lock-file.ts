import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { PgFlowError } from '../../errors.js';

interface Owner {
  readonly pid: number;
  readonly host: string;
  /** When the process began, as the kernel counts: tells a reused pid from the one that locked. */
  readonly began: string | null;
}

/** The directories that this process holds: its own pid in a lock file is else that of a dead namesake. */
const held = new Set<string>();

/**
 * Takes a directory for this process, until `unlock`. The lock of a dead process is taken over.
 *
 * @throws {PgFlowError} `DATABASE_LOCKED`, with the pid of the process that has it.
 */
export function lockDirectory(directory: string): () => void {
  const path = join(resolve(directory), 'pgflow-live.lock');
  const draft = `${path}.${process.pid}`;
  writeFileSync(
    draft,
    JSON.stringify({ pid: process.pid, host: hostname(), began: beganAt(process.pid) } satisfies Owner),
  );
  try {
    for (let attempt = 0; !create(path, draft); attempt += 1) {
      const owner = readOwner(path);
      if (owner && (attempt > 9 || isAlive(owner, path))) throw locked(directory, owner);
      if (owner) removeDead(path, owner, directory);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  held.add(path);
  return () => {
    if (held.delete(path)) rmSync(path, { force: true });
  };
}

/** Linking makes the file with its content in one step, or not at all. */
function create(path: string, draft: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Of two processes that find the same dead lock, the slower may catch the faster one's new lock: it puts that back. */
function removeDead(path: string, dead: Owner, directory: string): void {
  const caught = `${path}.${process.pid}.dead`;
  try {
    renameSync(path, caught);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const owner = readOwner(caught);
  const isDead = owner?.pid === dead.pid && owner.began === dead.began;
  if (!isDead) create(path, caught);
  rmSync(caught, { force: true });
  if (!isDead) throw locked(directory, owner);
}

function readOwner(path: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Owner;
  } catch {
    return null;
  }
}

function isAlive(owner: Owner, path: string): boolean {
  if (owner.host !== hostname()) return true; // a shared disk: nobody here can tell
  if (owner.pid === process.pid) return held.has(path);
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return owner.began === null || owner.began === beganAt(owner.pid);
}

/** Field 22 of /proc/pid/stat, counted after the command's closing parenthesis; null where there is no /proc. */
function beganAt(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function locked(directory: string, owner: Owner | null): PgFlowError {
  const who = owner ? `process ${owner.pid} on ${owner.host}` : 'another process';
  return new PgFlowError(
    'DATABASE_LOCKED',
    `The embedded database in ${directory} is open in ${who}, and two processes would corrupt it. Stop that process, choose another directory, or set DATABASE_URL to a PostgreSQL server, which any number may share.`,
    { data: { directory, pid: owner?.pid ?? null } },
  );
}
