import { type Child, startChild } from '../harness/child.js';
import type { TcpProxy } from '../harness/tcp-proxy.js';
import { wrongClock } from './wrong-clock.js';

export interface StormProcessOptions {
  /** `worker 1`. */
  readonly name: string;
  readonly file: string;
  /** The way to the database. */
  readonly proxy: TcpProxy;
  readonly random: () => number;
  env(): Record<string, string>;
  /** A message that nobody asked for. */
  onMessage(message: any): void;
  /** It ended, and nobody had ended it. */
  onSurprise(text: string): void;
}

interface Question {
  readonly type: string;
  resolve(message: any): void;
  reject(error: Error): void;
}

/** How likely a process is to have a wrong clock. */
const WRONG_CLOCKS = 0.3;

/**
 * A process of the storm, its commands and messages, through all its lives.
 *
 * Modes: `down → starting → ready → down`. While one fault has it (`busy`), no other takes it.
 */
export class StormProcess {
  readonly name: string;
  readonly proxy: TcpProxy;
  busy = false;
  #mode: 'down' | 'starting' | 'ready' = 'down';
  readonly #options: StormProcessOptions;
  #child: Child | null = null;
  #questions: Question[] = [];
  /** It was told to end. */
  #isDoomed = false;

  constructor(options: StormProcessOptions) {
    this.name = options.name;
    this.proxy = options.proxy;
    this.#options = options;
  }

  /** What it is now, and said last. */
  get state(): string {
    const said = this.#child?.output.slice(-15).join('\n');
    return `${this.name}, ${this.#mode}, child ${this.#child?.pid}, which said last:\n${said}\n`;
  }

  get isReady(): boolean {
    return this.#mode === 'ready';
  }

  async start(): Promise<void> {
    const { file, env, random } = this.#options;
    const clock = random() < WRONG_CLOCKS ? wrongClock(random() < 0.5 ? 10 : -10, random() < 0.5) : {};
    const life = String(Math.floor(random() * 2 ** 31));
    this.#isDoomed = false;
    const child = startChild(file, {
      env: { ...env(), ...clock, STORM_LIFE: life },
      onLine: (line) => this.#hear(line),
    });
    this.#child = child;
    void child.exited.then(({ code, signal }) => this.#ended(child, `code ${code}, signal ${signal}`));
    this.#enter('starting');
    await this.#next('ready');
    this.#enter('ready');
  }

  /** It will end; resolves when it has. */
  async end(signal?: NodeJS.Signals): Promise<{ code: number | null }> {
    this.doom();
    const child = this.#child!;
    if (signal) child.kill(signal);
    return child.exited;
  }

  /** Its end is no surprise. */
  doom(): void {
    this.#isDoomed = true;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  tell(command: object): void {
    if (this.#mode === 'ready') this.#child!.writeLine(JSON.stringify(command));
  }

  /** Tells it, and waits for the message of that type. Rejects if it ends before, or is not there. */
  ask(command: object, type: string): Promise<any> {
    if (this.#mode !== 'ready') return Promise.reject(new Error(`${this.name} is ${this.#mode}.`));
    const answer = this.#next(type);
    this.tell(command);
    return answer;
  }

  async close(): Promise<void> {
    this.doom();
    await this.#child?.close();
  }

  #next(type: string): Promise<any> {
    return new Promise((resolve, reject) => {
      this.#questions.push({ type, resolve, reject });
    });
  }

  #hear(line: string): void {
    const message = JSON.parse(line) as { type: string };
    const at = this.#questions.findIndex(({ type }) => type === message.type);
    if (at === -1) this.#options.onMessage(message);
    else this.#questions.splice(at, 1)[0]!.resolve(message);
  }

  #ended(child: Child, how: string): void {
    if (this.#child !== child) return;
    this.#enter('down');
    const text = `${this.name} ended (${how}). It said last:\n${child.output.slice(-15).join('\n')}`;
    if (!this.#isDoomed) this.#options.onSurprise(text);
    for (const { reject } of this.#questions.splice(0)) reject(new Error(text));
  }

  #enter(mode: 'down' | 'starting' | 'ready'): void {
    this.#mode = mode;
  }
}
