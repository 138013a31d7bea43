import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** A process that works while this one watches. It answers each command with one message. */
export class OtherProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when it has said that it is ready. */
  static async start(program: string, ...args: readonly string[]): Promise<OtherProcess> {
    const child = fork(program, args);
    child.once('exit', (code, signal) => {
      if (code !== 0) throw new Error(`The other process ended with ${code ?? signal}.`);
    });
    await once(child, 'message');
    return new OtherProcess(child);
  }

  async ask<Answer>(command: string): Promise<Answer> {
    const answered = once(this.#child, 'message');
    this.#child.send(command);
    return (await answered)[0] as Answer;
  }

  async end(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    await exited;
  }
}

/** The other end: answers commands until the asking process is gone. */
export function answerCommands(commands: Readonly<Record<string, () => unknown>>): void {
  process.on('message', async (command: string) => {
    process.send!((await commands[command]!()) ?? null);
  });
  process.on('disconnect', () => process.exit());
  process.send!('ready');
}
