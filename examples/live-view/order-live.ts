import { LiveClient, type LiveResult, type PgFlow, type PgFlowError } from 'pgflow-live';
import { processOrder, sendEmail } from './flows.js';
import type { Values, View, ViewSocket } from './host/view.js';
import { type Assigns, type Key, renderPage } from './order-page.js';

/** The two runs of the page. Each has an assign of its name, and a parameter of the page's address with its id. */
const KEYS: readonly Key[] = ['order', 'email'];

/** An order and an email: two runs on one page, live. */
export function createOrderLive(pgflow: PgFlow): View {
  return {
    title: 'Order · PgFlow Live',

    async mount(params, socket) {
      socket.assign({ problems: {}, nextIds: { order: crypto.randomUUID(), email: crypto.randomUUID() } });
      for (const as of KEYS) LiveClient.init(socket, { pgflow, as });
      for (const as of KEYS) {
        const runId = params[as];
        if (!runId) continue;
        const found = await LiveClient.subscribe(socket, runId, { as });
        // The host mounts a page that failed anew, later and later. One that is served once has to say it.
        if (!found.ok && socket.connected && isForNow(found.error)) throw found.error;
        show(as, found);
      }
    },

    async handleEvent(name, value, socket) {
      if (name === 'process') {
        const { orderId = '', runId } = value;
        show('order', await LiveClient.startFlow(socket, processOrder, { orderId }, { as: 'order', runId }));
      }
      if (name === 'send') {
        const { to = '', runId } = value;
        show('email', await LiveClient.enqueue(socket, sendEmail, { to }, { as: 'email', runId }));
      }
      if (name === 'clear') clear(value, socket);
    },

    handleInfo: (message, socket) => LiveClient.handleInfo(message, socket),

    render: renderPage,
  };
}

/** Says what came of it, and keeps the run's id in the address: the next mount subscribes to it. */
function show(as: Key, result: LiveResult<ViewSocket>): void {
  const { socket } = result;
  const { problems, nextIds } = socket.assigns as Assigns;
  // A start without an answer may have happened all the same. Then the same id finds it.
  const nextId = !result.ok && isForNow(result.error) ? nextIds[as] : crypto.randomUUID();
  socket.assign({
    problems: { ...problems, [as]: result.ok ? undefined : textOf(result.error) },
    nextIds: { ...nextIds, [as]: nextId },
  });
  if (result.ok) socket.setParams({ [as]: result.run.runId });
}

function clear({ key }: Values, socket: ViewSocket): void {
  const as = KEYS.find((one) => one === key);
  if (!as) return;
  LiveClient.unsubscribe(socket, { as });
  socket.assign({ problems: { ...socket.assigns.problems, [as]: undefined } });
  socket.setParams({ [as]: null });
}

function isForNow({ code }: PgFlowError): boolean {
  return code === 'DATABASE_UNAVAILABLE';
}

/** Of a refused input what is wrong with it, else what the error says. */
function textOf({ data, message }: PgFlowError): string {
  const issues = data?.issues as readonly { message: string }[] | undefined;
  return issues?.map((issue) => issue.message).join(' ') ?? message;
}
