import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

/** A child process whose lines on stdout are signals to the test. */
export interface Child extends AsyncDisposable {
  readonly pid: number;
  /** All lines so far, of stdout and stderr. */
  readonly output: readonly string[];
  /** Settles when the process is gone. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /**
   * Resolves with the first line of stdout that matches, counted from the line after the last
   * one that was waited for; rejects when the process ends without it.
   */
  waitForLine(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Writes a line to its stdin. */
  writeLine(line: string): void;
  /** Sends a signal; `SIGSTOP` and `SIGCONT` too. */
  kill(signal?: NodeJS.Signals): void;
  /** Kills it with SIGKILL, if it still runs, and waits until it is gone. */
  close(): Promise<void>;
}

/** Ends the child when its parent is gone, however that died. */
const DIE_WITH_PARENT = `data:text/javascript,${encodeURIComponent(
  "process.on('disconnect', () => process.exit(1)); process.channel?.unref();",
)}`;

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/**
 * Runs a TypeScript file as a child process.
 *
 * @param file from the repository's root, or absolute.
 * @example
 * await using worker = startChild('test/chaos/worker.ts', { env: { DATABASE_URL: db.url } });
 * await worker.waitForLine(/^handler started/);
 * worker.kill('SIGKILL');
 */
export function startChild(
  file: string,
  options: {
    args?: readonly string[];
    env?: Record<string, string | undefined>;
    /** Takes each line of stdout instead of `waitForLine`; `output` then has the last lines only. */
    onLine?: (line: string) => void;
  } = {},
): Child {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--import', DIE_WITH_PARENT, resolve(ROOT, file), ...(options.args ?? [])],
    { cwd: ROOT, env: { ...process.env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe', 'ipc'] },
  );
  children.add(child);
  const exited = once(child, 'close').then(([code, signal]) => {
    children.delete(child);
    return { code, signal };
  });
  const lines = collectLines(child, exited, options.onLine);
  const close = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  return {
    pid: child.pid!,
    output: lines.output,
    exited,
    waitForLine: lines.waitFor,
    writeLine: (line) => void child.stdin!.write(`${line}\n`),
    kill: (signal = 'SIGTERM') => void child.kill(signal),
    close,
    [Symbol.asyncDispose]: close,
  };
}

const ROOT = resolve(import.meta.dirname, '../..');

/** Of a child that is listened to: what its end is explained with. */
const LAST_LINES = 50;

function collectLines(child: ChildProcess, exited: Child['exited'], onLine?: (line: string) => void) {
  const output: string[] = [];
  const unread: string[] = [];
  const lookers = new Set<() => void>();
  let ended = false;

  const keep = (line: string) => {
    output.push(line);
    if (onLine && output.length > LAST_LINES) output.shift();
  };
  createInterface({ input: child.stdout! }).on('line', (line) => {
    if (onLine) return onLine(line);
    keep(line);
    unread.push(line);
    for (const look of lookers) look();
  });
  createInterface({ input: child.stderr! }).on('line', keep);
  child.stdin!.on('error', () => {}); // Writing to a killed child; its exit says so.
  void exited.then(() => {
    ended = true;
    for (const look of lookers) look();
  });

  function waitFor(pattern: RegExp): Promise<RegExpMatchArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        for (let line = unread.shift(); line !== undefined; line = unread.shift()) {
          const match = line.match(pattern);
          if (!match) continue;
          lookers.delete(look);
          return resolve(match);
        }
        if (!ended) return;
        lookers.delete(look);
        reject(new Error(`The child ended without a line like ${pattern}. It said:\n${output.join('\n')}`));
      };
      lookers.add(look);
      look();
    });
  }

  return { output, waitFor };
}
