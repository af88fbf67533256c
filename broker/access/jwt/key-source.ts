import type { JwtAuthenticatorConfig } from '../../../config/schema.js'
import { GatewayError } from '../../contract/errors.js'
import { KeySetFile } from './key-set-file.js'
import { KeySetUrl } from './key-set-url.js'
import { SecretFile } from './secret-file.js'
import type { KeyDependencies, VerificationKeys } from './verification-keys.js'

/** The keys that an authenticator is configured with. Reads nothing yet. */
export function verificationKeys(
  config: JwtAuthenticatorConfig,
  dependencies: KeyDependencies,
): VerificationKeys {
  const { name, algorithms, jwksUrl, jwksFile, secretFile } = config
  if (secretFile !== undefined) return new SecretFile(name, secretFile, algorithms, dependencies.events)
  if (jwksFile !== undefined) return new KeySetFile(name, jwksFile, algorithms, dependencies.events)
  if (jwksUrl !== undefined) return new KeySetUrl(name, jwksUrl, algorithms, dependencies)
  throw new GatewayError('CONFIG_INVALID', `${name}: one of jwksUrl, jwksFile, secretFile is needed`)
}
