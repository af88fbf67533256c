import type {
  CodecDeclaration,
  SinkDeclaration,
  SourceDeclaration,
  TransformDeclaration,
  WindowDeclaration,
} from '../broker/contract/connector.js'
import { json } from './codecs/json.js'
import { mqttSink } from './sinks/mqtt/declaration.js'
import { mqttSource } from './sources/mqtt/declaration.js'
import { filter } from './transforms/filter.js'
import { rename } from './transforms/rename.js'
import { scale } from './transforms/scale.js'
import { split } from './transforms/split.js'
import { tumbling } from './windows/tumbling/declaration.js'

/**
 * Every connector there is. A new one is written in its folder and added here, and nowhere else: the bridges file,
 * its checks and its reference follow.
 */
export const sources = [mqttSource] as const
export const codecs = [json] as const
export const transforms = [filter, scale, rename, split] as const
export const windows = [tumbling] as const
export const sinks = [mqttSink] as const

export const sourceOf = finder<SourceDeclaration>(sources)
export const codecOf = finder<CodecDeclaration>(codecs)
export const transformOf = finder<TransformDeclaration>(transforms)
export const windowOf = finder<WindowDeclaration>(windows)
export const sinkOf = finder<SinkDeclaration>(sinks)

function finder<Found extends { readonly name: string }>(
  declarations: readonly Found[],
): (settings: { readonly type: string }) => Found {
  const byName = new Map(declarations.map((declaration) => [declaration.name, declaration]))
  return ({ type }) => {
    const found = byName.get(type)
    // The schema lets only these through.
    if (found === undefined) throw new Error(`there is no connector ${type}`)
    return found
  }
}
