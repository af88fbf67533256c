import { Option } from 'commander'

/** `--set path.to.key=value`, any number of times. */
export function overrideOption(): Option {
  return new Option('--set <key=value>', 'override one key of the configuration; may be given several times')
    .argParser((value: string, former: readonly string[] | undefined) => [...(former ?? []), value])
    .default([])
}
