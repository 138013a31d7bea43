/** The browser's reader, with its streams and timers, against a model of a few lines. */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { encodeChange, encodeRun } from '../run/codec.js';
import { commandOf } from '../run/model-command.test-support.js';
import { RUN_ID, sampleChanges, statesOf } from './sample-run.test-support.js';
import { StreamReader } from './stream-reader.js';

const CHANGES = sampleChanges(RUN_ID, ['a', 'b', 'c', 'd']);
const STATES = statesOf(CHANGES);
const LAST = CHANGES.length;

/** Milliseconds: longer than any pause between two tries. */
const LONGEST_PAUSE = 31_000;
/** Longer than the silence after which a stream counts as dead. */
const SILENCE = 46_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const flush = () => vi.advanceTimersByTimeAsync(0);

interface Model {
  watching: boolean;
  /** The run's seq on the server. */
  seq: number;
  /** What requests are answered with. */
  server: 'well' | 'down' | 'refusing';
  /** Frames do not get through any more, and neither side knows. */
  silent: boolean;
  /** An event of the open stream did not get through; only the next one, or silence, can tell. */
  lacking: boolean;
  /** The stream is open and all that the server sent has arrived. */
  current: boolean;
}

/** One connection of the reader, as the server sees it. */
class Stream {
  readonly response: Response;
  isOpen = true;
  #sent: number;
  #controller!: ReadableStreamDefaultController<Uint8Array>;

  constructor(since: number, seq: number, signal: AbortSignal) {
    this.#sent = since;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
    });
    const headers = { 'content-type': 'text/event-stream', 'pgflow-seq': String(seq) };
    this.response = new Response(body, { headers });
    signal.addEventListener('abort', () => this.end());
  }

  /** What the reader lacks, in one change; it is sent also if it does not get through. */
  tell(seq: number, getsThrough: boolean): void {
    if (this.#sent === seq) return;
    const frame = this.#sent === 0 ? snapshotFrame(seq) : changeFrame(this.#sent, seq);
    this.#sent = seq;
    if (getsThrough) this.write(frame);
  }

  write(text: string): void {
    if (this.isOpen) this.#controller.enqueue(new TextEncoder().encode(text));
  }

  end(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#controller.error(new Error('cut'));
  }
}

const frame = (event: string, id: number, data: unknown) =>
  `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
const snapshotFrame = (seq: number) => frame('snapshot', seq, { run: encodeRun(STATES[seq]!) });

function changeFrame(since: number, seq: number): string {
  const steps = new Map(
    CHANGES.slice(since, seq).flatMap((change) => change.steps.map((step) => [step.index, step])),
  );
  const touched = [...steps.values()].sort((a, b) => a.seq - b.seq || a.index - b.index);
  return frame('change', seq, encodeChange({ ...CHANGES[seq - 1]!, since, steps: touched }));
}

class Real {
  readonly streams: Stream[] = [];
  readonly reader: StreamReader;
  readonly #model: Model;
  shown = 0;

  constructor(model: Model) {
    this.#model = model;
    this.reader = new StreamReader(
      RUN_ID,
      async (since, signal) => this.#answer(since, signal),
      () => this.#look(),
    );
  }

  get open(): Stream[] {
    return this.streams.filter((stream) => stream.isOpen);
  }

  tell(): void {
    for (const stream of this.open) stream.tell(this.#model.seq, !this.#model.silent);
  }

  async check(): Promise<void> {
    await flush();
    const { watching, current, seq, server } = this.#model;
    const { run, state } = this.reader.view;
    expect(this.open.length, 'C5: streams').toBeLessThanOrEqual(watching && state !== 'settled' ? 1 : 0);
    if (!watching || state === 'settled') expect(vi.getTimerCount(), 'C5: timers').toBe(0);
    if (state === 'settled') expect(run).toEqual(STATES[LAST]);
    if (!current || server !== 'well' || !watching) return;
    expect(run, 'C1').toEqual(STATES[seq]);
    expect(this.reader.view).toMatchObject({ connected: true, caughtUp: true });
  }

  #answer(since: number, signal: AbortSignal): Response {
    if (this.#model.server === 'down') throw new TypeError('fetch failed');
    if (this.#model.server === 'refusing') return Response.json({}, { status: 503 });
    const stream = new Stream(since, this.#model.seq, signal);
    this.streams.push(stream);
    stream.tell(this.#model.seq, true);
    return stream.response;
  }

  /** C2 and C3 of all that it shows. */
  #look(): void {
    const { run } = this.reader.view;
    if (run === null) return;
    expect(run, 'C3').toEqual(STATES[run.seq]);
    expect(run.seq, 'C2').toBeGreaterThanOrEqual(this.shown);
    this.shown = run.seq;
  }
}

type Command = fc.AsyncCommand<Model, Real>;

const command = commandOf<Model, Real>();

/** Long enough for a silent stream to be given up, and for the next try. */
async function passTime(model: Model): Promise<void> {
  if (model.silent) {
    await vi.advanceTimersByTimeAsync(SILENCE);
    model.lacking = false;
  }
  if (model.server === 'well') model.silent = false;
  await vi.advanceTimersByTimeAsync(LONGEST_PAUSE);
  model.current = model.watching && model.server === 'well' && !model.lacking;
}

const always = () => true;
/** Whatever was wrong with the stream, there is none now. */
const NO_STREAM = { current: false, silent: false, lacking: false };
const flows = (model: Model) => model.current && !model.silent;

const COMMANDS: Command[] = [
  command(
    'watch',
    (model) => !model.watching,
    async (model, real) => {
      model.watching = true;
      model.current = model.server === 'well';
      real.reader.start();
      await flush();
    },
  ),
  command(
    'leave',
    (model) => model.watching,
    (model, real) => {
      Object.assign(model, { watching: false, ...NO_STREAM });
      real.reader.stop();
    },
  ),
  command(
    'the run goes on',
    (model) => model.seq < LAST,
    (model, real) => {
      model.seq += 1;
      // After one that was lost this one shows the gap; the reader connects again.
      model.lacking = model.silent && (model.current || model.lacking);
      model.current = flows(model);
      real.tell();
    },
  ),
  command('the last event comes again', flows, (model, real) => {
    for (const stream of real.open) {
      stream.write(model.seq === 1 ? snapshotFrame(1) : changeFrame(model.seq - 1, model.seq));
    }
  }),
  command('old events come again', flows, (_, real) => {
    for (const stream of real.open) stream.write(snapshotFrame(1));
  }),
  command('garbage', flows, (model, real) => {
    Object.assign(model, NO_STREAM);
    for (const stream of real.open) stream.write('event: change\ndata: {"seq"\n\n');
  }),
  command('a ping', flows, (_, real) => {
    for (const stream of real.open) stream.write(': ping\n\n');
  }),
  command('events get lost from now on, unnoticed', flows, (model) => {
    model.silent = true;
  }),
  command(
    'events get through again',
    (model) => model.silent,
    (model) => {
      model.silent = false;
    },
  ),
  command('the connection is lost', always, (model, real) => {
    Object.assign(model, NO_STREAM);
    for (const stream of real.open) stream.end();
  }),
  command('the server goes down', always, (model, real) => {
    Object.assign(model, { server: 'down', ...NO_STREAM });
    for (const stream of real.open) stream.end();
  }),
  command('the server refuses for now', always, (model) => {
    model.server = 'refusing';
  }),
  command('the server is well', always, (model) => {
    model.current &&= model.server === 'well';
    model.server = 'well';
  }),
  command('time passes', always, passTime),
  command('another reply brings the run', always, (model, real) => {
    real.reader.give(STATES[model.seq]!);
    expect(real.reader.view.run?.seq).toBe(model.seq);
    model.current ||= model.lacking;
    model.lacking = false;
  }),
];

it('shows only what the run was, never goes back, and ends up with the newest', async () => {
  const commands = fc.commands(
    COMMANDS.map((one) => fc.constant(one)),
    { maxCommands: 60, size: '+1' },
  );
  await fc.assert(
    fc.asyncProperty(commands, async (plan) => {
      vi.clearAllTimers(); // Of a run that failed.
      const model: Model = {
        watching: false,
        seq: 1,
        server: 'well',
        silent: false,
        lacking: false,
        current: false,
      };
      const real = new Real(model);
      await fc.asyncModelRun(() => ({ model, real }), plan);
      model.watching = false;
      real.reader.stop();
      await real.check();
      expect([real.open.length, vi.getTimerCount()], 'C5').toEqual([0, 0]);
    }),
    { numRuns: 1000 },
  );
}, 120_000);
