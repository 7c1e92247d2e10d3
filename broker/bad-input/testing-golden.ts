/** What RocketMQ 5.5.0's broker has answered to the rows, as a file: a line for each row, its name, the code and the remark between tabs. */
const ADDRESS = /\d+\.\d+\.\d+\.\d+:\d+/g
const EXCEPTION = /^([a-z]\w*\.)+(\w+(?:Exception|Error))/

export interface Answer {
  readonly code: number
  readonly remark: string
}

/** `answers` by the names of the rows. */
export function formatGolden(answers: ReadonlyMap<string, Answer>): string {
  const lines = Array.from(
    answers,
    ([name, { code, remark }]) => `${name}\t${code}\t${said(remark)}\n`,
  )
  return lines.join('')
}

/** The codes by the names of the rows. */
export function parseGolden(text: string): ReadonlyMap<string, number> {
  const lines = text.trim().split('\n')
  return new Map(
    lines.map((line) => {
      const [name = '', code] = line.split('\t')
      return [name, Number(code)]
    }),
  )
}

/** What is the same each time: of an exception its class, of ports none, and no traces of stacks. */
function said(remark: string): string {
  const exception = EXCEPTION.exec(remark)?.[2]
  if (exception !== undefined) return exception
  const [line = ''] = remark.split('\n')
  return line.replaceAll(ADDRESS, '…').trim()
}
