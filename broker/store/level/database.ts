import { readdir } from 'node:fs/promises'
import { ClassicLevel } from 'classic-level'
import { GatewayError } from '../../contract/errors.js'

export type Database = ClassicLevel<Buffer, Buffer>
export type OpenDatabase = (directory: string) => Promise<Database>

/**
 * LevelDB keeps what was written last in memory, twice this at most. What is settled before it leaves there
 * never reaches a table file, so more than the default of 4 MiB pays for a queue that is emptied as it fills.
 */
const WRITE_BUFFER_BYTES = 16_777_216

/** Opens the database. Rejects with STORE_LOCKED, STORE_DAMAGED or STORE_UNWRITABLE. */
export async function openDatabase(directory: string): Promise<Database> {
  await mustNotBeBeheaded(directory)
  const database = new ClassicLevel<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    writeBufferSize: WRITE_BUFFER_BYTES,
  })
  try {
    await database.open()
    return database
  } catch (error) {
    throw openFailure(directory, error)
  }
}

/** LevelDB takes a directory without the file CURRENT for a new one, and deletes the table files in it. */
async function mustNotBeBeheaded(directory: string): Promise<void> {
  const files = await readdir(directory).catch((): string[] => [])
  if (files.includes('CURRENT') || !files.some((file) => file.endsWith('.ldb') || file.endsWith('.log')))
    return
  throw damagedStore(directory, new Error('the file CURRENT is missing'))
}

/** What a failure while opening or reading means. */
export function openFailure(directory: string, error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  // abstract-level wraps what LevelDB or the file system said.
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  switch (codeOf(cause)) {
    case 'LEVEL_LOCKED':
      return new GatewayError('STORE_LOCKED', `Another process has ${directory} open.`, {
        hint: 'Stop the other gateway, or give this one a `node.dataDir` of its own.',
        cause,
      })
    case 'LEVEL_CORRUPTION':
      return damagedStore(directory, cause)
    default:
      return unwritableStore(directory, cause)
  }
}

export function damagedStore(directory: string, cause: unknown): GatewayError {
  return new GatewayError('STORE_DAMAGED', `The store in ${directory} cannot be read: ${textOf(cause)}.`, {
    hint: 'Restore the directory from a backup, or move it away to start empty.',
    cause,
  })
}

export function unwritableStore(directory: string, cause: unknown): GatewayError {
  return new GatewayError('STORE_UNWRITABLE', `The store in ${directory} cannot write: ${textOf(cause)}.`, {
    hint: 'Look for a full disk, a read-only file system or missing rights.',
    cause,
  })
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function codeOf(cause: unknown): unknown {
  return cause instanceof Error && 'code' in cause ? cause.code : undefined
}
