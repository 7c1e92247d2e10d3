/** Asks a broker for its picture: a few requests for each, however many topics and groups it has. */
import {
  decodePictureBroker,
  decodePictureGroups,
  decodePictureProducers,
  decodePictureTopics,
} from '../remoting/bodies/broker-picture.ts'
import type {
  PictureBroker,
  PictureGroup,
  PicturePage,
  PictureProducer,
  PictureSection,
  PictureTopic,
} from '../remoting/bodies/broker-picture.ts'
import { RequestCode } from '../remoting/request-code.ts'
import type { AdminClient } from './admin.ts'
import { ClientError } from './errors.ts'

/** Entries of a section that are taken of one broker; what is beyond is left out and said so. */
export const PICTURE_ENTRIES_MAX = 50_000
const PAGE_ENTRIES = 250

export interface BrokerPicture {
  readonly broker: PictureBroker
  readonly topics: readonly PictureTopic[]
  readonly groups: readonly PictureGroup[]
  readonly producers: readonly PictureProducer[]
  /** A section had more than `PICTURE_ENTRIES_MAX`. */
  readonly isTruncated: boolean
}

/** Rejects as `AdminClient` does. */
export async function askPicture(admin: AdminClient, address: string): Promise<BrokerPicture> {
  const broker = decodePictureBroker(await section(admin, address, 'broker'))
  const topics = await pages(admin, address, 'topics', decodePictureTopics)
  const groups = await pages(admin, address, 'groups', decodePictureGroups)
  const producers = await pages(admin, address, 'producers', decodePictureProducers)
  return {
    broker,
    topics: topics.entries,
    groups: groups.entries,
    producers: producers.entries,
    isTruncated: [topics, groups, producers].some(({ isTruncated }) => isTruncated),
  }
}

async function pages<Entry>(
  admin: AdminClient,
  address: string,
  name: PictureSection,
  decode: (body: Buffer) => PicturePage<Entry>,
): Promise<{ readonly entries: readonly Entry[]; readonly isTruncated: boolean }> {
  const entries: Entry[] = []
  let after = ''
  for (;;) {
    const page = decode(await section(admin, address, name, after))
    entries.push(...page.entries)
    if (page.next === null) return { entries, isTruncated: false }
    if (entries.length >= PICTURE_ENTRIES_MAX) return { entries, isTruncated: true }
    if (page.next <= after) {
      throw new ClientError('badAnswer', `${address} answers ${name} in no order`)
    }
    after = page.next
  }
}

async function section(
  admin: AdminClient,
  address: string,
  name: PictureSection,
  after: string = '',
): Promise<Buffer> {
  const extFields = { section: name, after, limit: String(PAGE_ENTRIES) }
  const { body } = await admin.ask(address, { code: RequestCode.GANTRY_BROKER_PICTURE, extFields })
  return body
}
