package maxcompute;

import com.aliyun.odps.Odps;
import com.aliyun.odps.OdpsException;
import com.aliyun.odps.PartitionSpec;
import com.aliyun.odps.data.Record;
import com.aliyun.odps.data.RecordReader;
import com.aliyun.odps.data.RecordWriter;
import com.aliyun.odps.tunnel.TableTunnel;
import com.aliyun.odps.tunnel.TableTunnel.DownloadSession;
import com.aliyun.odps.tunnel.TableTunnel.UploadSession;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Rows of a table with the columns (id BIGINT, name STRING), by Tunnel and by record. */
final class Rows {
    static final String COLUMNS = "(id BIGINT, name STRING)";

    private Rows() {
    }

    /** Write a block of rows with the ids from {@code first} on. */
    static void write(UploadSession session, long block, long first, int count) throws IOException, OdpsException {
        try (RecordWriter writer = session.openRecordWriter(block)) {
            for (long id = first; id < first + count; id++) {
                writer.write(fill(session.newRecord(), id));
            }
        }
    }

    /** A record for an id; each third name is NULL. */
    static Record fill(Record record, long id) {
        record.setBigint("id", id);
        record.setString("name", name(id));
        return record;
    }

    static String name(long id) {
        return id % 3 == 0 ? null : "name 名 " + id;
    }

    /** All rows of a table or of a partition (null: there are none), in the order of the service. */
    static List<Record> read(Odps odps, String table, PartitionSpec partition) throws IOException, OdpsException {
        TableTunnel tunnel = new TableTunnel(odps);
        DownloadSession session = partition == null
            ? tunnel.createDownloadSession(Emulator.PROJECT, table)
            : tunnel.createDownloadSession(Emulator.PROJECT, table, partition);
        return read(session);
    }

    static List<Record> read(DownloadSession session) throws IOException, OdpsException {
        List<Record> rows = new ArrayList<>();
        try (RecordReader reader = session.openRecordReader(0, session.getRecordCount())) {
            for (Record row = reader.read(); row != null; row = reader.read()) {
                rows.add(row);
            }
        }
        return rows;
    }

    /** Their ids, sorted. */
    static List<Long> ids(List<Record> rows) {
        return rows.stream().map(row -> row.getBigint("id")).sorted().toList();
    }

    /** Print the count of a table's rows: what another process sees. */
    public static void main(String[] arguments) throws Exception {
        System.out.println(read(Emulator.client(), arguments[0], null).size());
        System.exit(0); // the SDK's idle threads would keep this JVM for 20 s
    }
}
