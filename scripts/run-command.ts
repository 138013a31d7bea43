import { spawn } from 'node:child_process';
import { resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '..');

const BIN = resolve(ROOT, 'node_modules/.bin');

/** What runs now, each in a process group of its own, so that nothing of it outlives us. */
const groups = new Set<number>();
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    interrupted = true;
    for (const pid of groups) end(pid, 'SIGTERM');
    const forceAll = () => {
      for (const pid of groups) end(pid, 'SIGKILL');
    };
    setTimeout(forceAll, 10_000).unref();
  });
}

/**
 * Runs a command in the repository, with our output and the packages' commands on the path.
 *
 * @param options.limit seconds after which it is ended. Default 600.
 * @returns its exit code; null when it did not end by itself or could not be started.
 */
export function runCommand(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; limit?: number } = {},
): Promise<number | null> {
  if (interrupted) return Promise.resolve(null);
  const child = spawn(command, args, {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: `${BIN}:${process.env.PATH}`, ...options.env },
  });
  const { pid } = child;
  if (pid) groups.add(pid);
  const seconds = options.limit ?? 600;
  const limit = setTimeout(() => {
    console.error(`\n${command} ${args.join(' ')}: killed after ${seconds} s.`);
    if (pid) end(pid, 'SIGKILL');
  }, seconds * 1000);
  return new Promise((resolve) => {
    child.once('error', (error) => {
      clearTimeout(limit);
      console.error(error);
      resolve(null);
    });
    child.once('exit', (code) => {
      clearTimeout(limit);
      if (pid) {
        end(pid, 'SIGKILL');
        groups.delete(pid);
      }
      resolve(code);
    });
  });
}

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The whole group is gone already.
  }
}
