/** What somebody wants to do. */
export type Action = 'start' | 'list' | 'read' | 'watch' | 'cancel' | 'retry';

/** What it is wanted on. */
export interface Access {
  readonly action: Action;
  /** The run; of `start` the id that the caller chose, if it chose one; absent for `list`. */
  readonly runId?: string;
  /** The run's flow; of `list` the flow asked for, if any. */
  readonly flowSlug?: string;
}

/**
 * Says who may do what: `true`, or an object that stands for who asks, is yes; all else is no, a
 * throw and a `Response` included. Read the request's headers only: its body belongs to the handler.
 * A start whose runId was started before asks for `read` too; `watch` is asked again every 30 seconds.
 *
 * @example
 * const authorize: Authorize = async (request, { action, runId }) => {
 *   const user = await userOf(request.headers.get('authorization'));
 *   return user !== null && (runId === undefined || (await owns(user, runId)));
 * };
 */
export type Authorize = (request: Request, access: Access) => Verdict | Promise<Verdict>;

type Verdict = boolean | object | null | undefined;

/** Asks `authorize` and takes anything but a clear yes for a no. */
export async function isPermitted(
  authorize: Authorize,
  request: Request,
  access: Access,
  onError: (error: unknown) => void,
): Promise<boolean> {
  try {
    const verdict = await authorize(request, access);
    return (
      verdict === true || (typeof verdict === 'object' && verdict !== null && !(verdict instanceof Response))
    );
  } catch (error) {
    onError(error);
    return false;
  }
}
