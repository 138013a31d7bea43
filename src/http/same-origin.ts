import { Refusal } from './refusal.js';

/**
 * Refuses a request that a page of another origin sent with the user's cookies. Browsers say where a
 * request comes from (`Sec-Fetch-Site`, older ones `Origin`) and no page can forge that; a client
 * that says neither is not a browser and has no cookies to abuse.
 *
 * @see https://words.filippo.io/csrf/
 */
export function refuseCrossSite(request: Request, allowedOrigins: readonly string[]): void {
  const origin = request.headers.get('origin');
  if (origin !== null && allowedOrigins.includes(origin)) return;
  const site = request.headers.get('sec-fetch-site');
  if (site === 'same-origin' || site === 'none') return;
  if (site === null && (origin === null || hostOf(origin) === new URL(request.url).host)) return;
  throw new Refusal(
    403,
    'UNAUTHORIZED',
    'Requests from pages of another origin are refused. List the origin in `allowedOrigins` to let it in.',
  );
}

function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
