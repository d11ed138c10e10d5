import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { type ErrorCode, errorReport, SpeilError } from '../../core/error.ts';
import { TOO_MANY_FAILURES } from './access.ts';
import type { ApiParts } from './parts.ts';

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  USAGE: 400,
  UNKNOWN_SCHEME: 400,
  AUTHENTICATION_REFUSED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  CALL_TOO_LARGE: 413,
  CENTER_DATABASE_FAILED: 503,
  UNREACHABLE: 503,
};

/** Why Fastify itself refused a request, in words of ours. */
const REFUSALS: Readonly<Record<string, () => SpeilError>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () => new SpeilError('CALL_TOO_LARGE', 'the body of the request is too large'),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new SpeilError('USAGE', 'the body is not JSON', { hint: 'Send it with `Content-Type: application/json`.' }),
  FST_ERR_CTP_INVALID_JSON_BODY: () => new SpeilError('USAGE', 'the body is not valid JSON'),
  FST_ERR_CTP_EMPTY_JSON_BODY: () => new SpeilError('USAGE', 'the request needs a body of JSON'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () => new SpeilError('USAGE', 'the body is not as long as its header says'),
};

/** Every failure of a request becomes an answer `{code, message, hint}`; what nobody foresaw is logged and not told. */
export const answerFailure =
  ({ log }: ApiParts) =>
  (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const known = asSpeilError(error);
    if (known === null) {
      log.error(
        { request: request.id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) },
        'a request failed',
      );
    }
    return answerWith(reply, known ?? unforeseen(request.id));
  };

export const answerWith = (reply: FastifyReply, error: SpeilError): FastifyReply => {
  const { code, message, hint } = errorReport(error);
  return reply.code(statusOf(error)).send({ code, message, hint });
};

const statusOf = ({ code, message }: SpeilError): number =>
  message === TOO_MANY_FAILURES ? 429 : (STATUS[code] ?? 500);

const unforeseen = (requestId: string): SpeilError =>
  new SpeilError('INTERNAL', `the request failed; its number is ${requestId}`, {
    hint: "The center's log says more under this number.",
  });

function asSpeilError(error: unknown): SpeilError | null {
  if (error instanceof SpeilError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    return new SpeilError('USAGE', `the request is not understood: ${error.validation.map(problem).join('; ')}`, {
      hint: 'GET /openapi.json says what each request may hold.',
    });
  }
  const { code, statusCode } = error as Partial<FastifyError>;
  const refusal = code === undefined ? undefined : REFUSALS[code];
  if (refusal !== undefined) return refusal();
  return statusCode === 400 ? new SpeilError('USAGE', 'the request is not understood') : null;
}

const problem = ({ instancePath, message }: { readonly instancePath: string; readonly message?: string }): string => {
  const where = instancePath
    .split('/')
    .filter((part) => part !== '')
    .join('.');
  return `${where === '' ? '' : `${where}: `}${message ?? 'not valid'}`;
};
