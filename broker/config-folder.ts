/** The files of `config/` on a disk. */
import { readConfigFile, replaceConfigFile, writeConfigFile } from '../store/config-store.ts'
import type { Disk } from '../common/ports.ts'
import type { ConfigFolder } from './persisted-table.ts'

export function diskConfigFolder(disk: Disk, path: string): ConfigFolder {
  return {
    read: (name, parse) => readConfigFile(disk, `${path}/${name}`, parse),
    write: (name, pieces, mayReplace) =>
      writeConfigFile(disk, `${path}/${name}`, pieces, mayReplace),
    replace: (name, text) => replaceConfigFile(disk, `${path}/${name}`, text),
  }
}
