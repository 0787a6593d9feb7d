package maxcompute;

import com.aliyun.odps.data.ArrowRecordReader;
import java.io.IOException;
import java.util.function.Consumer;
import org.apache.arrow.vector.VectorSchemaRoot;

/** The batches of the SDK's Arrow reader, which leaves it to its caller to free them. */
final class Batches {
    private Batches() {
    }

    /** Hand over each batch up to the end, then free it. */
    static void each(ArrowRecordReader reader, Consumer<VectorSchemaRoot> use) throws IOException {
        VectorSchemaRoot batch = reader.read();
        while (batch != null) {
            try {
                use.accept(batch);
            } finally {
                batch.close();
            }
            batch = reader.read();
        }
    }
}
