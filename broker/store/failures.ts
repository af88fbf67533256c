import { GatewayError } from '../contract/errors.js'

/** The failures that every store has in common. */

export const storeClosed = (): GatewayError => new GatewayError('STORE_CLOSED', 'The store is not open.')

export const sessionTaken = (clientId: string): GatewayError =>
  new GatewayError('SESSION_TAKEN', `The session of ${JSON.stringify(clientId)} is no longer in these hands.`)

export const retainedFull = (): GatewayError =>
  new GatewayError('QUOTA_EXCEEDED', 'No room for a further retained message.', {
    hint: 'Raise `limits.retainedMessages` or `limits.retainedBytes`, or clear retained messages.',
  })
