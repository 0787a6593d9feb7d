package maxcompute;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.aliyun.odps.Odps;
import com.aliyun.odps.data.ArrowRecordReader;
import com.aliyun.odps.data.ArrowRecordWriter;
import com.aliyun.odps.data.RecordReader;
import com.aliyun.odps.data.RecordWriter;
import com.aliyun.odps.tunnel.TableTunnel;
import com.aliyun.odps.tunnel.TableTunnel.DownloadSession;
import com.aliyun.odps.tunnel.TableTunnel.UploadSession;
import com.aliyun.odps.tunnel.io.CompressOption;
import com.aliyun.odps.tunnel.io.CompressOption.CompressAlgorithm;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every compression that the SDK has, in both directions; more rows than one frame of any of them holds. */
class CompressionTest {
    private static final int ROWS = 50_000;
    private final Odps odps = Emulator.client();
    private final TableTunnel tunnel = new TableTunnel(odps);

    @ParameterizedTest
    @EnumSource(names = {"ODPS_RAW", "ODPS_ZLIB", "ODPS_SNAPPY", "ODPS_LZ4_FRAME", "ODPS_ZSTD"})
    void recordsAreCompressed(CompressAlgorithm algorithm) throws Exception {
        CompressOption compression = new CompressOption(algorithm, 1, 0);
        String table = Emulator.table(odps, "compressed", Rows.COLUMNS);
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        try (RecordWriter writer = session.openRecordWriter(0, compression)) {
            for (long id = 0; id < ROWS; id++) {
                writer.write(Rows.fill(session.newRecord(), id));
            }
        }
        session.commit(new Long[] {0L});

        DownloadSession download = tunnel.createDownloadSession(Emulator.PROJECT, table);
        try (RecordReader reader = download.openRecordReader(0, ROWS, compression)) {
            for (long id = 0; id < ROWS; id++) {
                assertEquals(Rows.name(id), reader.read().getString("name"));
            }
            assertEquals(null, reader.read());
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"ODPS_RAW", "ODPS_ZLIB", "ODPS_ARROW_LZ4_FRAME"}) // the SDK's Arrow writer has no other
    void arrowIsCompressed(CompressAlgorithm algorithm) throws Exception {
        CompressOption compression = new CompressOption(algorithm, 1, 0);
        String table = Emulator.table(odps, "compressed_arrow", "(id BIGINT)");
        UploadSession session = tunnel.createUploadSession(Emulator.PROJECT, table);
        try (RootAllocator allocator = new RootAllocator();
                VectorSchemaRoot batch = VectorSchemaRoot.create(session.getArrowSchema(), allocator);
                ArrowRecordWriter writer = session.openArrowRecordWriter(0, compression)) {
            BigIntVector ids = (BigIntVector) batch.getVector("id");
            for (int row = 0; row < ROWS; row++) {
                ids.setSafe(row, row);
            }
            batch.setRowCount(ROWS);
            writer.write(batch);
        }
        session.commit(new Long[] {0L});

        DownloadSession download = tunnel.createDownloadSession(Emulator.PROJECT, table);
        AtomicLong sum = new AtomicLong();
        try (RootAllocator allocator = new RootAllocator();
                ArrowRecordReader reader = download.openArrowRecordReader(0, ROWS, null, allocator, compression)) {
            Batches.each(reader, batch -> {
                BigIntVector ids = (BigIntVector) batch.getVector("id");
                for (int row = 0; row < batch.getRowCount(); row++) {
                    sum.addAndGet(ids.get(row));
                }
            });
        }
        assertEquals((long) ROWS * (ROWS - 1) / 2, sum.get());
    }
}
